"""The executed notebook while it grows: a file that is whole and valid at every instant.

It is replaced at most four times a second, and less often where writing it takes long. Only cells
that changed are written as JSON again; the text of the others is kept.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from runhook.runner.masking import Masker
from runhook.runner.spec import write_whole

PAUSE, SHARE = 0.25, 20
"""Seconds between two writes; writing takes at most a twentieth of the time."""
MOST = 32 * 1024 * 1024
"""Characters of a notebook, above which outputs are only named in it."""


class LiveDocument:
    """Keeps `notebook` at `target`, masked. `told` is called with the indices of cells of which
    more stands in the file than before. What cannot be written, for want of room, is written with
    the next change."""

    def __init__(
        self, notebook: NotebookNode, target: Path, masker: Masker, told: Callable[[int], None]
    ) -> None:
        self.notebook = notebook
        self.prepare: Callable[[int], None] = lambda _: None
        """Called with the index of a cell before it is written."""
        self._target = target
        self._masker = masker
        self._told = told
        self._texts: list[str] = [""] * len(notebook.cells)
        self._changed = set(range(len(notebook.cells)))
        self._grown: set[int] = set()
        self._pause = PAUSE
        self._saved_at = -PAUSE
        self._due: asyncio.TimerHandle | None = None
        self._unsaved = 0

    def has_room(self, size: int) -> bool:
        """May so many characters more stand in the notebook? They are counted as if they did."""
        if self._size + size > MOST and self._unsaved:
            self.save()
        if self._size + size > MOST:
            return False
        self._unsaved += size
        return True

    @property
    def _size(self) -> int:
        return sum(map(len, self._texts)) + self._unsaved

    def changed(self, index: int) -> None:
        """The cell changed: it is written soon, together with what else changes until then."""
        self._changed.add(index)
        if self._due is None:
            wait = max(0.0, self._saved_at + self._pause - time.monotonic())
            self._due = asyncio.get_running_loop().call_later(wait, self.save)

    def grown(self, index: int) -> None:
        """The same, because the kernel published something of it."""
        self._grown.add(index)
        self.changed(index)

    def save(self) -> None:
        """Bring everything to the file now."""
        if self._due:
            self._due.cancel()
            self._due = None
        began = time.monotonic()
        for index in self._changed:
            self.prepare(index)
            self._texts[index] = self._text(self.notebook.cells[index], 2)
        self._changed.clear()
        self._unsaved = 0
        with suppress(OSError):
            write_whole(self._target, self._whole().encode("utf-8", "replace"))
        for index in sorted(self._grown):
            self._told(index)
        self._grown.clear()
        self._saved_at = time.monotonic()
        self._pause = max(PAUSE, SHARE * (self._saved_at - began))

    def _whole(self) -> str:
        cells = ",\n".join(self._texts)
        rest = {name: value for name, value in self.notebook.items() if name != "cells"}
        rest_text = json.dumps(self._masker.mask_value(rest), indent=1, sort_keys=True)
        return f'{{\n "cells": [\n{cells}\n ],{rest_text[1:]}\n'

    def _text(self, cell: NotebookNode, depth: int) -> str:
        shown = self._masker.mask_value(in_lines(cell))
        text = json.dumps(shown, indent=1, sort_keys=True, ensure_ascii=False)
        indent = " " * depth
        return indent + text.replace("\n", f"\n{indent}")


def in_lines(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell as it is usually written: its source and the texts among its outputs as lists of
    lines, which is kind to whoever compares versions."""
    shown = {**cell, "source": _lines(cell["source"])}
    if isinstance(cell.get("outputs"), list):
        shown["outputs"] = [_output_in_lines(each) for each in cell["outputs"]]
    return shown


def _output_in_lines(output: Mapping[str, Any]) -> dict[str, Any]:
    if output.get("output_type") == "stream":
        return {**output, "text": _lines(output["text"])}
    data = output.get("data")
    if not isinstance(data, dict):
        return dict(output)
    texts = {kind: _lines(each) for kind, each in data.items() if kind.startswith("text/")}
    return {**output, "data": {**data, **texts}}


def _lines(text: Any) -> Any:
    return text.splitlines(keepends=True) if isinstance(text, str) else text
