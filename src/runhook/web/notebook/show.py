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


def shown_cell(cell: Cell, language: str, frames: Place, images: Place) -> ShownCell:
    """The cell, ready for the template. `frames` and `images` say where those of an output are."""
    source = cell.source[:LONGEST_SOURCE]
    if cell.kind == "markdown":
        html = rendered(source, cell.attachments)
    else:
        html = marked(source, language) if cell.kind == "code" else terminal(source)
    outputs = [shown(cell, number, frames, images) for number in range(len(cell.outputs))]
    return ShownCell(cell, html, outputs, WORDS.get(cell.status, ""))


def shown_cells(
    notebook: Notebook, numbers: Sequence[int], frames: Place, images: Place
) -> list[ShownCell]:
    """Those of these numbers, from 1, that there are."""
    return [
        shown_cell(notebook.cells[number - 1], notebook.language, frames, images)
        for number in numbers
        if 0 < number <= len(notebook.cells)
    ]
