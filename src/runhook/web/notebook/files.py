"""Which notebooks a run left, and reading them. The same file is parsed once, however many look."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from urllib.parse import quote

from runhook import artifacts
from runhook.artifacts import Artifact, NotThere
from runhook.errors import Invalid, NotFound
from runhook.model.run import TERMINAL
from runhook.services import results
from runhook.services.results import Left
from runhook.services.site import Site
from runhook.web.notebook.document import LARGEST, Notebook, parse

MOST_KEPT, KEPT_BYTES = 16, 96 * 1024 * 1024
Key = tuple[int, int, int, int]
SUFFIX = ".ipynb"


def addresses(left: Left, files: Sequence[Artifact]) -> list[str]:
    """The notebooks of an attempt, as `Artifact.address` has them: the one that Runhook executed
    first."""
    own = [quote(results.executed_notebook(left), safe="")] if left.notebook else []
    return own + [f.address for f in files if f.path.endswith(SUFFIX) and f.address not in own]


def read(left: Left, site: Site, path: bytes) -> Notebook:
    """The notebook at that path of the artifacts. NotFound if there is none (yet), or if it is not
    given out; Invalid, as a sentence, if it cannot be shown. Call it in a thread."""
    try:
        if results.withheld(left, site)(os.fsdecode(path)):
            raise NotThere(results.why_withheld(left))
        descriptor, facts = artifacts.open_file(left.directory(site), path)
    except NotThere as error:
        raise NotFound(f"run {left.run.id} has no such notebook: {error}") from None
    try:
        notebook = _kept.of(descriptor, facts)
    finally:
        os.close(descriptor)
    over = left.attempt is not None and left.attempt.state in TERMINAL
    return _ended(notebook) if over else notebook


def _ended(notebook: Notebook) -> Notebook:
    """What the attempt's end makes of cells that nobody came to note it for."""
    ends = {"running": "lost", "pending": "never_ran"}
    if not any(cell.status in ends for cell in notebook.cells):
        return notebook
    cells = [
        replace(cell, status=ends[cell.status], mark=f"{cell.mark}e")  # type: ignore[arg-type]
        if cell.status in ends
        else cell
        for cell in notebook.cells
    ]
    return replace(notebook, cells=cells)


class _Kept:
    """Notebooks that were looked at last, by what tells that a file is still the same."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[Key, Notebook] = OrderedDict()

    def of(self, descriptor: int, facts: os.stat_result) -> Notebook:
        if facts.st_size > LARGEST:
            raise Invalid(f"it is larger than {LARGEST >> 20} MiB, too large for a page")
        key = (facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size)
        with self._lock:  # many may look at one that is written: it is parsed once
            known = self._known.get(key)
            if known is None:
                with os.fdopen(os.dup(descriptor), "rb") as file:
                    known = parse(file.read(LARGEST))
                self._known[key] = known
                self._make_room()
            self._known.move_to_end(key)
            return known

    def _make_room(self) -> None:
        while len(self._known) > 1 and (
            len(self._known) > MOST_KEPT or sum(key[3] for key in self._known) > KEPT_BYTES
        ):
            self._known.popitem(last=False)


_kept = _Kept()
