"""Cells of a notebook, ready for a template."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from runhook.web.notebook.ansi import terminal
from runhook.web.notebook.code import marked
from runhook.web.notebook.document import Cell, Notebook
from runhook.web.notebook.markdown import rendered
from runhook.web.notebook.outputs import Place, ShownOutput, shown
from runhook.web.notebook.room import LEFT_OUT, Room

LONGEST_SOURCE = 100_000
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


def shown_cells(
    notebook: Notebook, numbers: Sequence[int], frames: Place, images: Place
) -> list[ShownCell]:
    """Those of these numbers, from 1, that there are, ready for the template. `frames` and `images`
    say where those of an output are."""
    room = Room()
    return [
        _cell(notebook.cells[number - 1], notebook.language, room, frames, images)
        for number in numbers
        if 0 < number <= len(notebook.cells)
    ]


def _cell(cell: Cell, language: str, room: Room, frames: Place, images: Place) -> ShownCell:
    places = range(len(cell.outputs))
    outputs = [shown(cell, each, frames, images, room) for each in places]
    return ShownCell(cell, _source(cell, language, room), outputs, WORDS.get(cell.status, ""))


def _source(cell: Cell, language: str, room: Room) -> Markup:
    source = cell.source[:LONGEST_SOURCE]
    html = _html(cell, source, language, room)
    return html if room.to_show(len(html)) else escape(LEFT_OUT)


def _html(cell: Cell, source: str, language: str, room: Room) -> Markup:
    if cell.kind == "raw" or not room.to_mark(source):
        return terminal(source)
    if cell.kind == "markdown":
        return rendered(source, cell.attachments, room)
    return marked(source, language)
