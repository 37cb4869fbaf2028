"""What is kept and for how long: the one place that decides it, for the dry run and for the prune.

`plan` reads rows and says which runs go and why; who removes them is the pruner. The bounds apply
oldest first, and whichever is reached first counts.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, Self, TypeVar

from runhook.errors import Conflict, SettingsError
from runhook.model.access import Caller
from runhook.model.policy import Retention
from runhook.model.quantity import byte_count, seconds, shown_bytes
from runhook.model.run import Event, Run
from runhook.services import audit, runs
from runhook.store import events, retention
from runhook.store.database import Transaction
from runhook.store.retention import JobUsage, KeptRun

DAY = timedelta(days=1)


class Kept(Protocol):
    """Something on disk: `at` is when it was last wanted."""

    @property
    def at(self) -> datetime: ...
    @property
    def bytes(self) -> int: ...


K = TypeVar("K", bound=Kept)


@dataclass(frozen=True)
class Bounds:
    """How much is kept; None is no bound. `whose` begins the sentence that says why."""

    whose: str
    age: timedelta | None = None
    count: int | None = None
    size: int | None = None

    def reason(self, at: datetime, count: int, size: int, now: datetime) -> str | None:
        """Why the oldest of `count` things with `size` bytes in all goes; None if it stays."""
        if self.age is not None and now - at > self.age:
            days = self.age / DAY
            return f"{self.whose} keeps them for {days:g} day{'' if days == 1 else 's'}"
        if self.count is not None and count > self.count:
            return f"{self.whose} keeps the newest {self.count}"
        if self.size is not None and size > self.size:
            return f"{self.whose} keeps {shown_bytes(self.size)}"
        return None

    def for_job(self, own: Retention) -> "Bounds":
        """With what a job says itself in the place of what the server says."""
        return replace(
            self,
            age=self.age if own.age is None else timedelta(seconds=seconds(own.age)),
            count=self.count if own.runs is None else own.runs,
            size=self.size if own.size is None else byte_count(own.size),
        )


def falls_out(
    oldest_first: Iterable[K], bounds: Bounds, count: int, size: int, now: datetime
) -> Iterator[tuple[K, str]]:
    """What goes, with the reason, until every bound holds. `count` and `size` are those of all that
    is kept, of which `oldest_first` is what may go."""
    for thing in oldest_first:
        reason = bounds.reason(thing.at, count, size, now)
        if reason is None:
            return
        yield thing, reason
        count, size = count - 1, size - thing.bytes


@dataclass(frozen=True)
class Rules:
    """What the server's settings say. `job` holds for every job that says nothing itself, `total`
    for the runs of all jobs, `history` for their rows, `caches` for environments and mirrors."""

    job: Bounds = Bounds("the job")
    total: Bounds = Bounds("the server")
    history: Bounds = Bounds("the history")
    caches: Bounds = Bounds("the cache")

    @classmethod
    def of(cls, words: Mapping[str, Any]) -> Self:
        """From the settings of the section `retention`, by their names. Empty or 0 is no bound;
        SettingsError names what cannot be read."""
        age, runs, size = (_read(words, name) for name in ("age", "runs", "size"))
        return cls(
            Bounds("the job", age, runs, size),
            Bounds("the server", size=_read(words, "total_size")),
            Bounds("the history", age=_read(words, "history")),
            Bounds("the cache", age=_read(words, "cache_age"), size=_read(words, "cache_size")),
        )


def _read(words: Mapping[str, Any], name: str) -> Any:
    value = words[name]
    if value in ("", "0", 0):
        return None
    try:
        if name == "runs":
            return _positive(value)
        return byte_count(value) if name.endswith("size") else timedelta(seconds=seconds(value))
    except ValueError as error:
        variable = f"RUNHOOK_RETENTION_{name.upper()}"
        raise SettingsError(
            f"cannot start: {variable} is {value!r}: {error}, or 0 for no bound"
        ) from None


def _positive(value: int) -> int:
    if value < 0:
        raise ValueError("write how many runs are kept")
    return value


@dataclass(frozen=True)
class Plan:
    """Runs whose files go, and runs that go from the history (files and rows), each with the
    reason."""

    files: list[tuple[KeptRun, str]]
    history: list[tuple[KeptRun, str]]


def plan(tx: Transaction, rules: Rules, now: datetime, limit: int) -> Plan:
    """What goes now: up to `limit` runs, so that what is asked again goes on."""
    history = _history(tx, rules.history, now, limit)
    gone = {run.id: run.bytes for run, _ in history}
    room, usages = limit - len(gone), retention.usage(tx)
    files = _of_jobs(tx, usages, rules.job, now, room, gone)
    if rules.total.size is not None and len(files) < room:
        gone |= {run.id: run.bytes for run, _ in files}
        kept = sum(usage.bytes for usage in usages) - sum(gone.values())
        files += _of_all(tx, kept, rules.total, now, limit - len(gone), gone)
    return Plan(files, history)


def _history(
    tx: Transaction, bounds: Bounds, now: datetime, limit: int
) -> list[tuple[KeptRun, str]]:
    if bounds.age is None:
        return []
    return list(falls_out(retention.ended_before(tx, limit, now - bounds.age), bounds, 0, 0, now))


def _of_jobs(
    tx: Transaction,
    usages: Iterable[JobUsage],
    bounds: Bounds,
    now: datetime,
    limit: int,
    gone: Mapping[str, int],
) -> list[tuple[KeptRun, str]]:
    """Job by job; one whose bounds hold costs nothing."""
    going: list[tuple[KeptRun, str]] = []
    for usage in usages:
        if len(going) >= limit:
            break
        own, kept = bounds.for_job(usage.retention), (usage.runs, usage.bytes)
        if usage.oldest and own.reason(usage.oldest, *kept, now):
            oldest = retention.oldest(tx, limit + len(gone), usage.job_id)
            going += [each for each in falls_out(oldest, own, *kept, now) if each[0].id not in gone]
    return going[:limit]


def _of_all(
    tx: Transaction,
    size: int,
    bounds: Bounds,
    now: datetime,
    limit: int,
    gone: Mapping[str, int],
) -> list[tuple[KeptRun, str]]:
    """What is above the server's total of the `size` bytes left without the runs in `gone`."""
    oldest = retention.oldest(tx, limit + len(gone))
    rest = [run for run in oldest if run.id not in gone]
    return list(falls_out(rest, bounds, len(rest), size, now))[:limit]


def pin(tx: Transaction, caller: Caller, run_id: str, pinned: bool, now: datetime) -> Run:
    """Keep a run whatever the bounds say, or no longer; repeating it changes nothing. An active run
    may be pinned, for when it has ended. Conflict if its files are gone already."""
    run, job = runs.get_with_job(tx, caller, run_id, "runs:write")
    if pinned and run.pruned_at:
        raise Conflict(
            f"cannot pin run {run.number} because its files were removed on {run.pruned_at:%F}",
            hint="Start it again, and pin the new run.",
        )
    if retention.set_pinned(tx, run.id, pinned):
        kind = "pinned" if pinned else "unpinned"
        events.record(tx, Event(run.id, None, now, kind, {"by": caller.name}))
        audit.record_run(tx, caller, f"run.{kind}", run, job, now)
    return runs.get(tx, caller, run_id)


def note_pruning(tx: Transaction, caller: Caller, runs: int, size: int, now: datetime) -> None:
    """Put down that an administrator has what retention does not keep removed at once: so many
    runs, and so many bytes in all."""
    what = {"runs": runs, "bytes": size}
    audit.record(
        tx, caller, "retention.pruned", now, kind="retention", id="", name="retention", after=what
    )
