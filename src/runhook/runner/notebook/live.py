"""The executed notebook while it grows: a file that is whole at every instant."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from runhook.runner.masking import Masker
from runhook.runner.spec import write_whole


class LiveDocument:
    """Keeps `notebook` at `target`, masked."""

    def __init__(self, notebook: NotebookNode, target: Path, masker: Masker) -> None:
        self.notebook = notebook
        self._target = target
        self._masker = masker

    def save(self) -> None:
        """Bring everything to the file now."""
        shown = nbformat.from_dict(self._masker.mask_value(self.notebook))  # type: ignore[no-untyped-call]
        write_whole(self._target, nbformat.writes(shown))  # type: ignore[no-untyped-call]
