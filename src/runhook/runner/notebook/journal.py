"""What happens to each cell, told to the server line by line (`spec.CellReport`)."""

import time
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from runhook.runner.masking import Masker
from runhook.runner.spec import CellReport, append_line

FILE = "cells.jsonl"


class Journal:
    """The lines of one attempt. A cell is named by its index, from 0."""

    def __init__(self, directory: Path, masker: Masker) -> None:
        self._file = directory / FILE
        self._masker = masker
        self._ids: list[str] = []

    def plan(self, cells: list[NotebookNode]) -> None:
        """What is going to be executed."""
        self._ids = [cell["id"] for cell in cells]
        listed = [
            {"index": number, "id": cell["id"], "kind": cell["cell_type"]}
            for number, cell in enumerate(cells, start=1)
        ]
        self._write("plan", of=len(cells), cells=listed)

    def started(self, index: int) -> None:
        """The kernel was given the cell."""
        self._write("started", cell=index + 1, id=self._ids[index])

    def output(self, index: int) -> None:
        """More of the cell stands in the notebook's file."""
        self._write("output", cell=index + 1)

    def finished(self, index: int, seconds: float, status: str) -> None:
        """Nothing more happens to the cell."""
        told = {"id": self._ids[index], "seconds": round(seconds, 6), "status": status}
        self._write("finished", cell=index + 1, **told)

    def _write(self, kind: str, **data: Any) -> None:
        masked = self._masker.mask_value(data)
        append_line(self._file, CellReport(time.time(), kind, masked).line())
