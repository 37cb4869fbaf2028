"""Which notebooks a run left, and reading them. The same file is parsed once, however many look."""

import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from threading import BoundedSemaphore, Lock
from urllib.parse import quote

from runhook import artifacts
from runhook.artifacts import Artifact, NotThere
from runhook.errors import Invalid, NotFound
from runhook.model.run import TERMINAL
from runhook.services import results
from runhook.services.results import Left
from runhook.services.site import Site
from runhook.web.notebook.document import LARGEST, Cell, Notebook, parse

MOST_KEPT, KEPT_BYTES, OBJECT_BYTES = 16, 96 * 1024 * 1024, 500
MOST_PARSED_AT_ONCE = 2
"""Each takes a multiple of its file's memory while it is parsed, and all threads share one core."""
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
        self._known: OrderedDict[Key, tuple[Notebook, int]] = OrderedDict()
        self._awaited: dict[Key, Future[Notebook]] = {}
        self._parsing = BoundedSemaphore(MOST_PARSED_AT_ONCE)

    def of(self, descriptor: int, facts: os.stat_result) -> Notebook:
        if facts.st_size > LARGEST:
            raise Invalid(f"it is larger than {LARGEST >> 20} MiB, too large for a page")
        key = (facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key][0]
            awaited = self._awaited.get(key)
            mine = self._awaited[key] = awaited or Future()
        if awaited is None:  # many may look at one that is written: it is parsed once
            self._parse(descriptor, key, mine)
        return mine.result()

    def _parse(self, descriptor: int, key: Key, told: Future[Notebook]) -> None:
        try:
            with self._parsing, os.fdopen(os.dup(descriptor), "rb") as file:
                notebook = parse(file.read(LARGEST))
            with self._lock:
                self._known[key] = notebook, size(notebook)
                self._make_room()
            told.set_result(notebook)
        except BaseException as error:
            told.set_exception(error)
        finally:
            with self._lock:
                del self._awaited[key]

    def _make_room(self) -> None:
        while len(self._known) > 1 and (
            len(self._known) > MOST_KEPT
            or sum(bytes_ for _, bytes_ in self._known.values()) > KEPT_BYTES
        ):
            self._known.popitem(last=False)


def size(notebook: Notebook) -> int:
    """About how many bytes of memory it takes, which may be many times those of its file."""
    return sum(map(_size, notebook.cells))


def _size(cell: Cell) -> int:
    texts = [cell.source, cell.note]
    texts += [text for bundle in cell.attachments.values() for text in bundle.values()]
    for output in cell.outputs:
        texts += [output.text, output.name, *output.data.values()]
    objects = 2 + len(cell.outputs) + len(cell.attachments)
    return sum(map(sys.getsizeof, texts)) + OBJECT_BYTES * objects


_kept = _Kept()
