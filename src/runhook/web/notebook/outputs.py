"""Outputs of a cell, ready for a template: of each bundle the richest representation that can be
shown safely."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from runhook.web.notebook.ansi import terminal
from runhook.web.notebook.document import Cell, Output, text_of
from runhook.web.notebook.frames import FRAMED, SVG, height
from runhook.web.notebook.images import picture
from runhook.web.notebook.markdown import rendered

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
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


def shown(cell: Cell, number: int, frames: Place, images: Place) -> ShownOutput:
    """The output of that number, from 0."""
    output = cell.outputs[number]
    if output.kind == "stream":
        return _terminal(output.name, output.mark, output.text)
    if output.kind == "error":
        return _terminal("error", output.mark, output.text)
    return _bundle(cell, number, output, frames, images)


def _terminal(kind: str, mark: str, text: str) -> ShownOutput:
    whole = WHOLE.search(text)
    return ShownOutput(kind, mark, terminal(text), file=whole[1] if whole else "")


def _bundle(cell: Cell, number: int, output: Output, frames: Place, images: Place) -> ShownOutput:
    data, mark = output.data, output.mark
    plain = text_of(data.get("text/plain"))
    if WIDGET in data:
        return ShownOutput("text", mark, terminal(plain or "a widget"))
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
    return _text(output, plain)


def _text(output: Output, plain: str) -> ShownOutput:
    data, mark = output.data, output.mark
    if "text/markdown" in data:
        return ShownOutput("markdown", mark, rendered(text_of(data["text/markdown"])))
    if "text/latex" in data:
        return ShownOutput("text", mark, terminal(text_of(data["text/latex"])))
    if "application/json" in data and not plain:
        value = json.dumps(data["application/json"], indent=2, ensure_ascii=False, default=str)
        return ShownOutput("text", mark, terminal(value))
    if plain or not data:
        return _terminal("text", mark, plain)
    names = ", ".join(sorted(str(each)[:80] for each in data)[:5])
    return ShownOutput("text", mark, terminal(f"[{names}: cannot be shown here]"))


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
