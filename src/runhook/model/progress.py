"""How far a notebook has come, and how long it will still take: arithmetic over what its runs told.

A `Trace` is what one run told of its cells, line by line (`runner/spec.py`: cells.jsonl). An
estimate takes the median of earlier successful runs cell by cell; `services.progress` finds those.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

FEWEST_TIMES, STALLED_FACTOR, STALLED_SECONDS = 3, 3.0, 30.0
"""A cell is stalled once it takes three times as long as in the slowest of at least three earlier
runs, and half a minute longer than it."""
OVERDUE_FACTOR = 1.5
MOST_CELLS = 100_000


@dataclass(frozen=True)
class CellTimes:
    """What one earlier run tells of its code cells: their ids in order, and the seconds of those
    that succeeded (0 of those that were skipped), by their place in that order."""

    ids: Sequence[str]
    seconds: Mapping[int, float]


@dataclass
class Trace:
    """What a run told of its cells so far. Places count the code cells, from 0; `places` finds them
    by their numbers, which count all `of` cells of the notebook, from 1."""

    of: int = 0
    ids: list[str] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    begun_at: float | None = None
    told_at: float = 0.0
    running: int | None = None
    running_since: float = 0.0
    ended: dict[int, tuple[str, float | None]] = field(default_factory=dict)

    def tell(self, at: float, kind: str, data: Mapping[str, Any]) -> None:
        """Add a line, in the order in which they were written. What does not fit is left out."""
        self.told_at = max(self.told_at, at)
        match kind, data:
            case "plan", {"cells": list(cells)}:
                self._plan(at, cells[:MOST_CELLS])
            case "started", {"cell": int(number)} if number in self.places:
                self.running, self.running_since = self.places[number], at
            case "finished", {"cell": int(number), "status": str(status)} if number in self.places:
                place = self.places[number]
                self.ended[place] = (status, _seconds(data.get("seconds")))
                self.running = None if self.running == place else self.running

    def _plan(self, at: float, cells: Iterable[Any]) -> None:
        every = [each for each in cells if isinstance(each, dict)]
        known = [each for each in every if each.get("kind", "code") == "code"]
        self.of = max([len(every), *(_number(each, 0) for each in every)])
        self.ids = [str(each.get("id") or "") for each in known]
        self.places = {_number(each, place): place for place, each in enumerate(known)}
        self.begun_at, self.running, self.ended = at, None, {}

    @property
    def times(self) -> CellTimes:
        """For the estimates of later runs."""
        took = {
            place: seconds if status == "ok" else 0.0
            for place, (status, seconds) in self.ended.items()
            if status in ("ok", "skipped") and seconds is not None
        }
        return CellTimes(tuple(self.ids), took)


def _number(cell: Mapping[str, Any], place: int) -> int:
    index = cell.get("index")
    return index if type(index) is int else place + 1


def _seconds(value: Any) -> float | None:
    usable = type(value) in (int, float) and 0 <= value < 2**33
    return float(value) if usable else None


@dataclass(frozen=True)
class Progress:
    """Where a notebook is: in `cell` (None between two) of `of`, counted as people do, from 1; of
    the `code_cells` among them `done` have ended. Seconds: `elapsed` since it began, `cell_elapsed`
    in this cell, and about so many are `left` (None: earlier runs do not tell). `usual` is how long
    the cell took at most, `stalled` that this is far beyond."""

    cell: int | None
    of: int
    done: int
    code_cells: int
    elapsed: float
    cell_elapsed: float | None
    left: float | None
    usual: float | None
    stalled: bool

    @property
    def sentence(self) -> str:
        """For people: `cell 3 of 12, about 40 s left`."""
        if self.cell is None and not self.done:
            return f"starting the kernel for {self.of} cell{'s' * (self.of != 1)}"
        done = f"{self.done} of {self.code_cells} cells done"
        where = f"cell {self.cell} of {self.of}" if self.cell else done
        if self.stalled and self.usual is not None and self.cell_elapsed is not None:
            took, most = about(self.cell_elapsed), about(self.usual)
            return f"{where} has taken {took}, and never more than {most} before"
        if self.overdue:
            return f"{where}, longer than in any earlier run"
        return f"{where}, about {about(self.left)} left" if self.left is not None else where

    @property
    def overdue(self) -> bool:
        """Does the cell take clearly longer than ever? Then nobody can say how much is left."""
        if self.usual is None or self.cell_elapsed is None:
            return False
        return self.cell_elapsed > OVERDUE_FACTOR * self.usual + 1


def about(seconds: float) -> str:
    """A duration in words, as precise as an estimate can be: `5 s`, `3 min`, `2 h 10 min`."""
    if seconds < 55:
        return f"{max(1, round(seconds)) if seconds < 10 else round(seconds / 5) * 5} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(round(minutes / 10) * 10, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def progress(trace: Trace, earlier: Sequence[CellTimes], now: float) -> Progress | None:
    """Where the run of `trace` is at `now` (seconds since 1970); None if it has told of no cells.
    A clock that was set back makes nothing negative."""
    if trace.begun_at is None:
        return None
    history = matched(trace.ids, earlier)
    place = trace.running
    taken = None if place is None else max(0.0, now - trace.running_since)
    times = () if place is None else history[place]
    numbers = {each: number for number, each in trace.places.items()}
    found = Progress(
        cell=None if place is None else numbers[place],
        of=trace.of,
        done=len(trace.ended),
        code_cells=len(trace.ids),
        elapsed=max(0.0, now - trace.begun_at),
        cell_elapsed=taken,
        left=time_left(history, trace.ended, place, taken or 0.0),
        usual=max(times, default=None),
        stalled=taken is not None and is_stalled(times, taken),
    )
    return replace(found, left=None) if found.overdue else found


def matched(ids: Sequence[str], earlier: Iterable[CellTimes]) -> list[tuple[float, ...]]:
    """How long each cell took in earlier runs. A cell is known by its id, so that it may be moved
    and its source may change; in a run that shares no id with this one (older notebooks have none)
    by its place."""
    found: list[list[float]] = [[] for _ in ids]
    for run in earlier:
        places = {each: place for place, each in enumerate(run.ids)}
        by_id = any(each in places for each in ids if each)
        for place, each in enumerate(ids):
            there = places.get(each) if by_id else place
            if there is not None and there in run.seconds:
                found[place].append(run.seconds[there])
    return [tuple(sorted(each)) for each in found]


def time_left(
    history: Sequence[Sequence[float]],
    ended: Iterable[int],
    running: int | None,
    taken: float,
) -> float | None:
    """The sum of the medians of the cells that are still to come, in seconds; None if no cell has
    been seen before. A new cell counts like the median of the others. The one that is running, for
    `taken` seconds, counts what is left of the median of those times that were longer."""
    medians = [median(times) if times else None for times in history]
    known = [each for each in medians if each is not None]
    if not known:
        return None
    fallback, over, total = median(known), set(ended), 0.0
    for place, usual in enumerate(medians):
        if place in over:
            continue
        if place != running:
            total += fallback if usual is None else usual
            continue
        longer = [each for each in history[place] or [fallback] if each > taken]
        total += median(longer) - taken if longer else 0.0
    return total


def is_stalled(times: Sequence[float], taken: float) -> bool:
    """Has a cell, `taken` seconds in, gone far beyond what it ever took? See STALLED_FACTOR."""
    if len(times) < FEWEST_TIMES:
        return False
    return taken > max(STALLED_FACTOR * max(times), max(times) + STALLED_SECONDS)
