"""Code with its syntax marked: Pygments' classes, no styles."""

from functools import lru_cache

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

LONGEST, LONGEST_KEPT = 50_000, 4_000
"""Characters that are marked up, and whose HTML is kept for the next page."""
LANGUAGES = frozenset(
    "python python3 ipython ipython3 r julia bash sh shell sql javascript typescript java scala "
    "rust go c c++ cpp ruby perl json yaml toml octave matlab".split()
)
"""Lexers are made for code that people write; a notebook may hold what is made to keep one busy, so
it does not choose among all of them."""
FORMATTER = HtmlFormatter(nowrap=True, classprefix="hl-")


def marked(source: str, language: str) -> Markup:
    """The source as the inside of a `<pre>`; as it is if the language is unknown."""
    return _kept(source, language) if len(source) < LONGEST_KEPT else _marked(source, language)


@lru_cache(maxsize=512)
def _kept(source: str, language: str) -> Markup:
    return _marked(source, language)


def _marked(source: str, language: str) -> Markup:
    lexer = _lexer(language)
    if lexer is None or len(source) > LONGEST:
        return escape(source)
    return Markup(highlight(source, lexer, FORMATTER).rstrip("\n"))  # noqa: S704  it escapes


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer | None:
    name = language.lower()
    if name not in LANGUAGES:
        return None
    try:
        return get_lexer_by_name(
            name.removeprefix("i") if "python" in name else name, stripnl=False
        )
    except ClassNotFound:
        return None
