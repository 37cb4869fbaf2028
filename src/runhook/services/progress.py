"""How far the notebook of a run has come: reads what its cells told, and what those of earlier runs
did. The arithmetic is `model.progress`; this finds the files, and remembers what it has read.

The work may be able to write where the runner does, so nothing in the file is trusted: what is not
of the shape that the runner writes counts for nothing.
"""

import json
import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from runhook import logs
from runhook.model.progress import CellTimes, Progress, Trace, progress
from runhook.model.run import Attempt, Run, RunState
from runhook.services.site import Site
from runhook.store import attempts
from runhook.store.database import Transaction

EARLIER_RUNS = 10
BLOCK = 1024 * 1024
LATEST = 2**33
MOST_READINGS = 256


@dataclass(frozen=True)
class Told:
    """A line of an attempt's file of cells; `end` is the offset after it. One that is not of the
    shape that the runner writes has no kind."""

    at: float
    kind: str
    data: dict[str, Any]
    end: int


def cells_file(attempt: Path) -> Path:
    """Where the runner tells of the cells, in an attempt's directory."""
    return attempt / "cells.jsonl"


def told_from(path: Path, offset: int) -> Iterator[Told]:
    """The whole lines from `offset` on."""
    while block := logs.read(path, offset, BLOCK):
        whole = block.rfind(b"\n") + 1
        if not whole:
            if len(block) < BLOCK:
                return
            whole = len(block)  # no line of the runner's is so long
        end = offset
        for line in block[:whole].splitlines(keepends=True):
            end += len(line)
            yield _told(line, end)
        offset += whole


def _told(line: bytes, end: int) -> Told:
    try:
        value = json.loads(line, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        value = None
    match value:
        case {"at": int() | float() as at, "kind": str(kind)} if 0 <= at < LATEST:
            data = {name: each for name, each in value.items() if name not in ("at", "kind")}
            return Told(float(at), kind, data, end)
    return Told(0.0, "", {}, end)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


@dataclass
class _Reading:
    """How far an attempt's file was read."""

    offset: int = 0
    trace: Trace = field(default_factory=Trace)
    lock: Lock = field(default_factory=Lock)


class _Readings:
    """Those that were looked at last; a look reads what is new."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[Path, _Reading] = OrderedDict()

    def of(self, path: Path) -> _Reading:
        with self._lock:
            reading = self._known.setdefault(path, _Reading())
            self._known.move_to_end(path)
            if len(self._known) > MOST_READINGS:
                self._known.popitem(last=False)
            return reading


_readings = _Readings()


def earlier_attempts(tx: Transaction, run: Run) -> list[str]:
    """The ids of the attempts that the estimates for `run` are made of: those with which the last
    ten runs of its job succeeded."""
    return attempts.last_succeeded(tx, run.job_id, before=run.number, limit=EARLIER_RUNS)


def executing(tx: Transaction, found: Iterable[Run]) -> list[tuple[Run, Attempt, list[str]]]:
    """Those of the runs that are at work, with their attempt and the `earlier_attempts`."""
    at_work = [run for run in found if run.state == RunState.RUNNING]
    latest = {run.id: attempts.list_attempts(tx, run.id)[-1:] for run in at_work}
    return [(run, each, earlier_attempts(tx, run)) for run in at_work for each in latest[run.id]]


def measure(site: Site, attempt_id: str, earlier: Sequence[str], now: datetime) -> Progress | None:
    """How far the attempt has come; None if it tells of no cells (it runs a command, or has not
    come to its notebook). Reads files: call it in a thread."""
    path = cells_file(site.directory(attempt_id))
    reading = _readings.of(path)
    with reading.lock:
        for told in told_from(path, reading.offset):
            reading.trace.tell(told.at, told.kind, told.data)
            reading.offset = told.end
        if reading.trace.begun_at is None:
            return None
        known = [_times(cells_file(site.directory(each))) for each in earlier]
        return progress(reading.trace, known, now.timestamp())


@lru_cache(maxsize=4096)
def _times(path: Path) -> CellTimes:
    """What an attempt that has ended tells; its file changes no more."""
    trace = Trace()
    for told in told_from(path, 0):
        trace.tell(told.at, told.kind, told.data)
    return trace.times
