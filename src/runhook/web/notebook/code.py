"""Code with its syntax marked: Pygments' classes, no styles."""

from functools import lru_cache

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

LONGEST = 50_000
FORMATTER = HtmlFormatter(nowrap=True, classprefix="hl-")


@lru_cache(maxsize=2048)
def marked(source: str, language: str) -> Markup:
    """The source as the inside of a `<pre>`; as it is if the language is unknown."""
    lexer = _lexer(language)
    if lexer is None or len(source) > LONGEST:
        return escape(source)
    return Markup(highlight(source, lexer, FORMATTER).rstrip("\n"))  # noqa: S704  it escapes


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language.lower(), stripnl=False)
    except ClassNotFound:
        return None
