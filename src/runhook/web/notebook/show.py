"""Cells of a notebook, ready for a template."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from runhook.web.notebook.ansi import terminal
from runhook.web.notebook.code import marked
from runhook.web.notebook.document import Cell, Notebook
from runhook.web.notebook.markdown import rendered
from runhook.web.notebook.outputs import Place, ShownOutput, shown

LONGEST_SOURCE = 100_000
MOST_MARKED, MOST_SHOWN = 300_000, 8_000_000
"""Characters of source that are marked up, and of outputs that are shown, in one piece of a page:
what goes beyond is shown plainly, or not at all, since a notebook may hold what is made to keep us
busy."""
LEFT_OUT = "[left out here, since the cells before it show so much; the notebook’s file has it]"
WORDS = {
    "running": "running",
    "error": "failed",
    "stopped": "stopped",
    "died": "kernel died",
    "lost": "lost here",
    "skipped": "skipped",
    "never_ran": "never ran",
}


@dataclass(frozen=True)
class ShownCell:
    """A cell with its source and outputs as HTML; `word` says what became of it."""

    cell: Cell
    source: Markup
    outputs: Sequence[ShownOutput]
    word: str


class _Room:
    """What may still be marked up and shown."""

    def __init__(self) -> None:
        self._marked, self._shown = MOST_MARKED, MOST_SHOWN

    def to_mark(self, text: str) -> bool:
        self._marked -= len(text)
        return self._marked >= 0

    def to_show(self, output: ShownOutput) -> ShownOutput:
        self._shown -= len(output.html)
        return output if self._shown >= 0 else ShownOutput("text", output.mark, LEFT_OUT)


def shown_cells(
    notebook: Notebook, numbers: Sequence[int], frames: Place, images: Place
) -> list[ShownCell]:
    """Those of these numbers, from 1, that there are, ready for the template. `frames` and `images`
    say where those of an output are."""
    room = _Room()
    return [
        _cell(notebook.cells[number - 1], notebook.language, room, frames, images)
        for number in numbers
        if 0 < number <= len(notebook.cells)
    ]


def _cell(cell: Cell, language: str, room: _Room, frames: Place, images: Place) -> ShownCell:
    places = range(len(cell.outputs))
    outputs = [room.to_show(shown(cell, each, frames, images)) for each in places]
    return ShownCell(cell, _source(cell, language, room), outputs, WORDS.get(cell.status, ""))


def _source(cell: Cell, language: str, room: _Room) -> Markup:
    source = cell.source[:LONGEST_SOURCE]
    if cell.kind == "raw" or not room.to_mark(source):
        return terminal(source)
    return (
        rendered(source, cell.attachments) if cell.kind == "markdown" else marked(source, language)
    )
