"""Outputs of a cell, ready for a template: of each bundle the richest representation that can be
shown safely."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from runhook.web.notebook.ansi import LONGEST, terminal
from runhook.web.notebook.document import IMAGE_TYPES, Cell, Output, text_of
from runhook.web.notebook.frames import FRAMED, SVG, height
from runhook.web.notebook.images import picture
from runhook.web.notebook.jsons import indented
from runhook.web.notebook.markdown import rendered
from runhook.web.notebook.room import LEFT_OUT, Room

IMAGES = IMAGE_TYPES
WIDGET = "application/vnd.jupyter.widget-view+json"
WHOLE = re.compile(r"it is whole in the artifact (outputs/[\w-][\w.-]*)")
"""What the runner says where it cut an output."""
LARGEST_PART = 16 * 1024 * 1024


@dataclass(frozen=True)
class ShownOutput:
    """`kind` is stdout, stderr, error, text, markdown, image or frame; the last two have a `place`,
    the others are in `html`; `file` is the artifact that has the whole of what was cut. Sizes are
    in pixels."""

    kind: str
    mark: str
    html: Markup | str = ""
    place: str = ""
    width: int | None = None
    height: int | None = None
    text: str = ""
    file: str = ""


Place = Callable[[Cell, int], str]
"""Where the frame or the image of that output of the cell is."""


def shown(cell: Cell, number: int, frames: Place, images: Place, room: Room) -> ShownOutput:
    """The output of that number, from 0, as far as there is room for it."""
    output = cell.outputs[number]
    if output.kind == "stream":
        return _terminal(output.name, output.mark, output.text, room)
    if output.kind == "error":
        return _terminal("error", output.mark, output.text, room)
    return _bundle(cell, number, output, frames, images, room)


def _terminal(kind: str, mark: str, text: str, room: Room) -> ShownOutput:
    length = min(len(text), LONGEST)
    if not room.to_show(length):  # asked before the work: a text of nothing but colours shows none
        return ShownOutput("text", mark, LEFT_OUT)
    whole, html = WHOLE.search(text), terminal(text)
    if not room.to_show(max(0, len(html) - length)):
        return ShownOutput("text", mark, LEFT_OUT)
    return ShownOutput(kind, mark, html, file=whole[1] if whole else "")


def _markdown(mark: str, text: str, room: Room) -> ShownOutput:
    if not room.to_mark(text):
        return _terminal("text", mark, text, room)
    html = rendered(text, None, room)
    fits = room.to_show(len(html))
    return ShownOutput("markdown", mark, html) if fits else ShownOutput("text", mark, LEFT_OUT)


def _bundle(
    cell: Cell, number: int, output: Output, frames: Place, images: Place, room: Room
) -> ShownOutput:
    data, mark = output.data, output.mark
    plain = text_of(data.get("text/plain"))
    if WIDGET in data:
        return _terminal("text", mark, plain or "a widget", room)
    if any(kind in data for kind in FRAMED) and _size(data) <= LARGEST_PART:
        place = frames(cell, number)
        return ShownOutput("frame", mark, place=place, height=height(output), text=plain[:200])
    if SVG in data and _size(data) <= LARGEST_PART:
        return ShownOutput("image", mark, place=images(cell, number), text=plain[:200])
    for kind in IMAGES:
        found = picture(data[kind]) if kind in data else None
        if found:
            width, tall = _sides(output, kind, found.size)
            place = images(cell, number)
            return ShownOutput("image", mark, "", place, width, tall, plain[:200])
    return _text(output, plain, room)


def _text(output: Output, plain: str, room: Room) -> ShownOutput:
    data, mark = output.data, output.mark
    if "text/markdown" in data:
        return _markdown(mark, text_of(data["text/markdown"]), room)
    if "text/latex" in data:
        return _terminal("text", mark, text_of(data["text/latex"]), room)
    if "application/json" in data and not plain:
        text = text_of(data["application/json"])
        return _terminal("text", mark, indented(text) if room.to_mark(text) else text, room)
    if plain or not data:
        return _terminal("text", mark, plain, room)
    names = ", ".join(sorted(each[:80] for each in data)[:5])
    return _terminal("text", mark, f"[{names}: cannot be shown here]", room)


def _size(data: Any) -> int:
    return sum(len(text_of(data[kind])) for kind in (*FRAMED, SVG) if kind in data)


def _sides(
    output: Output, kind: str, size: tuple[int, int] | None
) -> tuple[int | None, int | None]:
    """Width and height as the notebook wants them (half the pixels, on fine screens), else those of
    the image."""
    wanted = output.metadata.get(kind)
    told = [wanted.get(side) if isinstance(wanted, dict) else None for side in ("width", "height")]
    width, tall = (each if type(each) is int and 0 < each < 20_000 else None for each in told)
    if width and tall:
        return width, tall
    return size or (None, None)
