"""Markdown of a notebook as HTML that can do nothing: no HTML of its own, links only to the web,
images only where they are part of the notebook, formulas as their source."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from runhook.web.notebook.code import marked
from runhook.web.notebook.document import text_of
from runhook.web.notebook.images import Picture, picture
from runhook.web.notebook.room import Room

LONGEST = 50_000
LONGEST_TARGET, LONGEST_TITLE = 2000, 500
"""Of a link: it is written once, but may be referred to on every line."""
LINKS = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)
MATH = re.compile(
    r"(\$\$?)(?=\S)(.{1,1000}?)(?<=\S)\1(?!\d)|\\\[(.{1,1000}?)\\\]|\\\((.{1,1000}?)\\\)", re.DOTALL
)


def rendered(
    source: str, attachments: Mapping[str, Any] | None = None, room: Room | None = None
) -> Markup:
    """The text as HTML. `attachments` are images of the cell by name, each by media type; `room`
    is what the piece of a page may still hold of them."""
    if len(source) > LONGEST:
        return Markup("<pre>{}</pre>").format(source[:LONGEST])
    env = {"attachments": attachments or {}, "room": room or Room(), "seen": set[str]()}
    return Markup(_markdown().render(source, env))  # noqa: S704


@cache
def _markdown() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "highlight": _highlighted})
    made.enable(["table", "strikethrough"])
    made.inline.ruler.before("escape", "math", _math)
    made.add_render_rule("math", _math_source)
    made.add_render_rule("image", _image)
    made.add_render_rule("link_open", _link)
    made.add_render_rule("th_open", _aligned)
    made.add_render_rule("td_open", _aligned)
    return made


def _highlighted(source: str, language: str, _: str) -> str:
    return str(marked(source, language or "text"))


def _math(state: StateInline, silent: bool) -> bool:
    """A formula in TeX's signs, before its backslashes and underlines are taken for markdown."""
    if state.src[state.pos] not in "$\\":
        return False
    found = MATH.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("math", "code", 0).content = found[0]
    state.pos = found.end()
    return True


def _math_source(
    _: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    return str(Markup('<code class="math">{}</code>').format(tokens[index].content))


def _link(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    """A link to the web, or to a place on the page; anything else leads nowhere."""
    token = tokens[index]
    target = str(token.attrGet("href") or "")
    if "title" in token.attrs:
        token.attrs["title"] = str(token.attrs["title"])[:LONGEST_TITLE]
    if LINKS.match(target) and len(target) <= LONGEST_TARGET:
        token.attrs["rel"] = "noopener noreferrer nofollow"
    else:
        token.attrs.pop("href", None)
    return renderer.renderToken(tokens, index, options, env)


def _aligned(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: EnvType,
) -> str:
    """A cell of a table: its alignment as a class, since a style would be refused."""
    style = str(tokens[index].attrs.pop("style", ""))
    if style:
        tokens[index].attrs["class"] = style.replace("text-align:", "to-")
    return renderer.renderToken(tokens, index, options, env)


def _image(
    _: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    """An image of the cell itself; one from elsewhere is only named, and never asked for. So is
    one that was there before: written out each time, a small notebook makes a huge page."""
    token = tokens[index]
    target = str(token.attrGet("src") or "")
    found = _first(target, env)
    if found:
        return str(Markup('<img src="{}" alt="{}">').format(found.address, token.content))
    name = unquote(target[:600])[:200]
    named = f"{token.content} ({name})" if token.content else name
    return str(Markup('<span class="quiet">[image: {}]</span>').format(named))


def _first(target: str, env: EnvType) -> Picture | None:
    """The image that is meant, the first time, if there is room for it."""
    if target in env["seen"]:
        return None
    meant = unquote(target)
    name = meant.removeprefix("attachment:")
    again = name in env["seen"]
    env["seen"] |= {target, name}
    return None if again else next(_pictures(meant, env), None)


def _pictures(target: str, env: EnvType) -> Iterator[Picture]:
    """The images that an address within the notebook means, as far as there is room."""
    kept = env["attachments"].get(target.removeprefix("attachment:"))
    given = list(kept.values()) if isinstance(kept, Mapping) else []
    if target.startswith("data:image/"):
        given.append(target.partition(",")[2])
    for each in map(text_of, given):
        found = picture(each)
        if found and env["room"].to_picture(len(each)):
            yield found
