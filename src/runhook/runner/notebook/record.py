"""What is written down about each cell: in its metadata, in the journal, and for people to see.

In the notebook: `metadata.execution` of a cell as JupyterLab and nbclient record it (ISO instants
of its messages), and `metadata.runhook`: {status, started_at, seconds}; that of the notebook has
the run and how it ended. The words of `status` are those of `spec.CellReport`, before the end also
pending and running.
"""

import time
from datetime import UTC, datetime

import nbformat
from nbformat import NotebookNode

from runhook.runner.notebook.journal import Journal
from runhook.runner.notebook.live import LiveDocument
from runhook.runner.spec import RunSpec

KEY = "runhook"


class Record:
    """The cells of one execution, each of them named by its index."""

    def __init__(self, live: LiveDocument, journal: Journal, spec: RunSpec) -> None:
        self._live = live
        self._journal = journal
        self._cells = live.notebook.cells
        self._began = 0.0
        self.told = False
        self._open = {n for n, cell in enumerate(self._cells) if cell.cell_type == "code"}
        about = {"run_id": spec.run_id, "attempt_id": spec.attempt_id, "status": "running"}
        live.notebook.metadata[KEY] = about
        for index in self._open:
            self._cells[index].metadata[KEY] = {"status": "pending"}
        journal.plan(self._cells)
        live.save()

    def started(self, index: int) -> None:
        """The cell is given to the kernel now."""
        self._began = time.monotonic()
        told = {"status": "running", "started_at": datetime.now(UTC).isoformat()}
        self._cells[index].metadata[KEY] = told
        self._journal.started(index)
        self._live.changed(index)

    def finished(self, index: int, status: str) -> None:
        """The cell is over. Only the first end of a cell counts."""
        if index not in self._open:
            return
        self._open.discard(index)
        about = self._cells[index].metadata[KEY]
        seconds = time.monotonic() - self._began if about["status"] == "running" else 0.0
        about["status"] = status
        if "started_at" in about:
            about["seconds"] = round(seconds, 6)
        self._live.changed(index)
        self._journal.finished(index, seconds, status)

    def note(self, index: int | None, name: str, text: str) -> None:
        """Say in a cell, where people see it, why the execution ended there; without one, in the
        first that would have been executed. An empty `name` is no failure."""
        self.told = True
        index = min(self._open, default=None) if index is None else index
        if index is None:
            return
        left = self._left(index)
        text = f"{text}; {left}" if left else text
        self._cells[index].outputs.append(_output(name, text))
        self._live.changed(index)

    def forget_exit(self, index: int) -> None:
        """Take away the error that IPython shows for an exit which is a success."""
        outputs = self._cells[index].outputs
        outputs[:] = [each for each in outputs if each.get("ename") != "SystemExit"]

    def _left(self, index: int) -> str:
        """Which cells are never going to run."""
        numbers = sorted(n + 1 for n in self._open if n > index and self._cells[n].source.strip())
        if not numbers:
            return ""
        one = f"cell {numbers[0]}" if len(numbers) == 1 else f"cells {_ranges(numbers)}"
        return f"{one} never ran"

    def end(self, status: str, reason: str | None) -> None:
        """The execution is over: what was not executed never will be."""
        for index in sorted(self._open):
            running = self._cells[index].metadata[KEY]["status"] == "running"
            self.finished(index, "stopped" if running else "never_ran")
        about = self._live.notebook.metadata[KEY]
        about["status"] = status
        if reason:
            about["reason"] = reason
        self._live.save()


def _output(name: str, text: str) -> NotebookNode:
    if not name:
        kind = {"output_type": "stream", "name": "stderr", "text": f"{text}\n"}
    else:
        kind = {"output_type": "error", "ename": name, "evalue": text}
        kind["traceback"] = [f"{name}: {text}"]  # type: ignore[assignment]
    output: NotebookNode = nbformat.from_dict(kind)  # type: ignore[no-untyped-call]
    return output


def _ranges(numbers: list[int]) -> str:
    """`[2, 3, 4, 7]` → `2–4, 7`."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and groups[-1][-1] == number - 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(str(g[0]) if len(g) == 1 else f"{g[0]}–{g[-1]}" for g in groups)
