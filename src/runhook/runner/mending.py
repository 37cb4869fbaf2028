"""The executed notebook of an attempt whose runner was killed, or whose machine was restarted: it
still says that a cell is running. Here it is told the truth, once nothing of the attempt lives.

The work could write to the artifacts, so the notebook is opened through no link, only a regular
file of a reasonable size is taken, and what has not the shape that a runner writes is left as it
is. Repeating it changes nothing. It is masked already, and holds nothing new but our sentence.
"""

import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from runhook.runner.collect import FOLDER, LARGEST_MASKED, READ
from runhook.runner.scratch import KEPT
from runhook.runner.spec import CellReport, RunSpec, append_line, executed_name, short_name

KEY = "runhook"
UNFINISHED = {"running": "lost", "pending": "never_ran"}


def mend_notebook(directory: Path, reason: str) -> bool:
    """Mark the cell that was running as lost, and those after it as never run, in the notebook and
    in cells.jsonl; True if that was needed. `reason` is one sentence for people."""
    with suppress(OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError):
        spec = RunSpec.load(directory)
        if spec.notebook:
            folder = os.open(directory / KEPT, FOLDER)
            try:
                return _mend(folder, executed_name(spec.notebook), directory, reason)
            finally:
                os.close(folder)
    return False


def _mend(folder: int, name: str, directory: Path, reason: str) -> bool:
    notebook = json.loads(_read(folder, name))
    about = notebook["metadata"].get(KEY, {})
    if about.get("status") != "running":
        return False
    journal = directory / "cells.jsonl"
    known = _known(journal)
    changed = list(_settle(notebook["cells"], known, reason))
    notebook["metadata"][KEY] = {**about, "status": "lost", "reason": reason}
    for number, cell, status in changed:  # first: once the notebook is mended, nobody comes again
        if known.get(number, "running") != "running":
            continue
        told = {"cell": number, "id": cell.get("id"), "seconds": 0.0, "status": status}
        append_line(journal, CellReport(time.time(), "finished", told).line())
    text = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False)
    _replace(folder, name, f"{text}\n".encode("utf-8", "replace"))
    return True


def _known(journal: Path) -> dict[int, str]:
    """What is told of each cell by its number: how it ended, or that it is running. It is told at
    once, and the notebook is written a little later."""
    found: dict[int, str] = {}
    with suppress(FileNotFoundError), journal.open("rb") as file:
        for line in file:
            with suppress(ValueError, TypeError, KeyError):
                told = json.loads(line)
                if told["kind"] in ("started", "finished"):
                    found[told["cell"]] = told.get("status", "running")
    return found


def _settle(
    cells: list[Any], known: Mapping[int, str], reason: str
) -> Iterator[tuple[int, Any, str]]:
    """Each cell that was not over: its number from 1, itself, and how it ended."""
    told = False
    for number, cell in enumerate(cells, start=1):
        about = cell["metadata"].get(KEY)
        if not about or about["status"] not in UNFINISHED:
            continue
        about["status"] = known.get(number, about["status"])
        status = UNFINISHED.get(about["status"])
        if status is None:
            continue
        if not told and cell["source"]:
            told = True
            where = "in" if status == "lost" else "before"
            text = f"{reason} ({where} this cell; what was not executed by then never ran)"
            error = {"output_type": "error", "ename": "Lost", "evalue": text}
            cell["outputs"].append({**error, "traceback": [f"Lost: {text}"]})
        about["status"] = status
        yield number, cell, status


def _read(folder: int, name: str) -> bytes:
    descriptor = os.open(name, READ, dir_fd=folder)
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST_MASKED:
            raise ValueError("it is not what a runner writes")
        return file.read()


def _replace(folder: int, name: str, data: bytes) -> None:
    temporary = f".{short_name(name)}.mended"
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
        file.write(data)
    os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
