"""The queue: which waiting runs leave it next, and what a run that stays in it waits for.

Order: higher priority first; between jobs, the one with the fewest living runs, then the one that
was served longest ago, so that one job's thousand runs do not starve another's; within a job in the
order of its numbers. A job's `max_running` and the places of a pool are never exceeded.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, text, update

from runhook.model.policy import JITTER, LONGEST_DELAY, Overlap
from runhook.model.run import Attempt, Run, RunState
from runhook.store.attempts import insert_attempt
from runhook.store.database import Transaction
from runhook.store.runs import get_run, run_of, transition
from runhook.store.tables import jobs, runs

ALIVE = (RunState.STARTING, RunState.RUNNING)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
ADVISORY_LOCK = 0x7175657565  # "queue", in bytes
BATCH = 500
LONGEST_PAUSE = timedelta(seconds=LONGEST_DELAY * (1 + JITTER))


def claim(
    tx: Transaction, *, room: int, pools: Mapping[str, int], executor: str, now: datetime
) -> list[tuple[Run, Attempt]]:
    """Move up to `room` queued runs to `starting`, in the order of the queue, each with a new
    attempt. `pools` gives the places of each pool; a pool that is not in it has none."""
    _exclude_others(tx)
    claimed = []
    chosen = _next_ones(tx, room, pools, now)
    for job_id in sorted({job_id for _, job_id, _ in chosen}):  # jobs are locked before runs
        tx.execute(update(jobs).where(jobs.c.id == job_id).values(served_at=now))
    for run_id, _, pool in chosen:
        left: dict[str, Any] = {"pool": pool, "not_before_at": None, "queue_expires_at": None}
        if transition(tx, run_id, to=RunState.STARTING, now=now, started_at=now, **left):
            claimed.append((get_run(tx, run_id), insert_attempt(tx, run_id, executor, now)))
    return [(run, attempt) for run, attempt in claimed if run is not None]


def _exclude_others(tx: Transaction) -> None:
    """Limits are counted and claimed by one at a time. SQLite has one writer anyway."""
    if tx.dialect == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})


@dataclass
class _Line:
    """The waiting runs of one job: the head, and those behind it once they are needed."""

    head: Row[Any]
    alive: int
    served_at: datetime
    behind: deque[Row[Any]] | None = None

    @property
    def open(self) -> bool:
        """May one more run of the job live?"""
        if self.head.overlap == Overlap.REPLACE:  # what it replaces has to be gone
            return self.alive == 0
        limit = self.head.max_running or (None if self.head.overlap == Overlap.ALLOW else 1)
        return limit is None or self.alive < limit

    @property
    def rank(self) -> tuple[int, int, datetime, datetime, str]:
        """The line with the smallest goes first."""
        head = self.head
        return (-head.priority, self.alive, self.served_at, head.created_at, head.id)


@dataclass
class _Places:
    """Pools and how many of their places are taken."""

    pools: Mapping[str, int]
    taken: Counter[str] = field(default_factory=Counter)

    def free(self, pool: str | None) -> bool:
        return pool is None or self.taken[pool] < self.pools.get(pool, 0)


def _next_ones(
    tx: Transaction, room: int, pools: Mapping[str, int], now: datetime
) -> list[tuple[str, str, str | None]]:
    """The ids of the runs that leave the queue now, with their jobs' ids and pools."""
    lines = _lines(tx, now)
    places = _Places(pools, alive_by(tx, runs.c.pool) if lines else Counter())
    chosen: list[tuple[str, str, str | None]] = []
    while len(chosen) < room:
        ready = [each for each in lines if each.open and places.free(each.head.pool)]
        if not ready:
            break
        line = min(ready, key=lambda each: each.rank)
        chosen.append((line.head.id, line.head.job_id, line.head.pool))
        places.taken[line.head.pool] += 1
        if not _advance(tx, line, room, now):
            lines.remove(line)
    return chosen


def _advance(tx: Transaction, line: _Line, room: int, now: datetime) -> bool:
    """Let the head of the line go; False if nobody stands behind it."""
    line.alive, line.served_at = line.alive + 1, now
    if line.behind is None:
        more = _waiting(now).where(runs.c.job_id == line.head.job_id).limit(room + 1)
        line.behind = deque(list(tx.execute(more))[1:])
    if not line.behind:
        return False
    line.head = line.behind.popleft()
    return True


def _lines(tx: Transaction, now: datetime) -> list[_Line]:
    """A line for each job with a run that may start now."""
    others = runs.alias()
    first = (
        select(others.c.id)
        .where(others.c.job_id == jobs.c.id, _ready(others, now))
        .order_by(*_order(others))
        .limit(1)
        .scalar_subquery()
    )
    with_some = select(runs.c.job_id).where(_ready(runs, now)).distinct()
    heads = list(tx.execute(_heads().where(jobs.c.id.in_(with_some), runs.c.id == first)))
    alive = alive_by(tx, runs.c.job_id) if heads else Counter()
    return [_Line(head, alive[head.job_id], _served_at(head, now)) for head in heads]


def _served_at(head: Row[Any], now: datetime) -> datetime:
    """An instant that has not come is of before the clock was set back."""
    served_at: datetime | None = head.served_at
    return served_at if served_at and served_at <= now else LONG_AGO


def _heads() -> Select[Any]:
    """What is looked at of a waiting run; limit and pool are those of its job now."""
    mine = (runs.c.id, runs.c.job_id, runs.c.priority, runs.c.created_at, runs.c.overlap)
    return select(*mine, jobs.c.max_running, jobs.c.pool, jobs.c.served_at).join(
        jobs, jobs.c.id == runs.c.job_id
    )


def _waiting(now: datetime) -> Select[Any]:
    return _heads().where(_ready(runs, now)).order_by(*_order(runs))


def _ready(table: Any, now: datetime) -> ColumnElement[bool]:
    """In the queue, and not kept back until later. What is kept back for longer than any retry was
    so before the clock was set back."""
    until = table.c.not_before_at
    may_start = or_(until.is_(None), until <= now, until > now + LONGEST_PAUSE)
    return and_(table.c.state == RunState.QUEUED, may_start)


def _order(table: Any) -> tuple[Any, ...]:
    return table.c.priority.desc(), table.c.number


def alive_by(tx: Transaction, column: ColumnElement[Any]) -> Counter[Any]:
    """How many runs live, by the value of a column of `runs`."""
    living = runs.c.state.in_(ALIVE)
    statement = select(column.label("value"), func.count().label("alive")).where(living)
    return Counter({row.value: int(row.alive) for row in tx.execute(statement.group_by(column))})


def expired(tx: Transaction, now: datetime) -> list[Run]:
    """Some queued runs whose patience is over; call again until there are none."""
    over = runs.c.queue_expires_at <= now
    statement = select(runs).where(runs.c.state == RunState.QUEUED, over).limit(BATCH)
    return [run_of(row) for row in tx.execute(statement)]


def next_change(tx: Transaction, now: datetime) -> datetime | None:
    """When, without anything happening, a queued run may start or gives up."""
    queued = runs.c.state == RunState.QUEUED
    instants = [
        tx.execute(select(func.min(column)).where(queued, column > now)).scalar_one()
        for column in (runs.c.not_before_at, runs.c.queue_expires_at)
    ]
    return min((at for at in instants if at), default=None)


def count_ahead(tx: Transaction, run: Run, *, same_job: bool) -> int:
    """How many queued runs stand before this one by priority and age: of its job, or of all (an
    estimate then, since jobs take turns)."""
    older = runs.c.number < run.number if same_job else runs.c.created_at < run.created_at
    ahead = or_(runs.c.priority > run.priority, and_(runs.c.priority == run.priority, older))
    statement = select(func.count()).where(runs.c.state == RunState.QUEUED, ahead)
    if same_job:
        statement = statement.where(runs.c.job_id == run.job_id)
    return int(tx.execute(statement).scalar_one())


def count_waiting(tx: Transaction, job_id: str) -> int:
    """How many runs of a job stand in the queue."""
    waiting = and_(runs.c.job_id == job_id, runs.c.state == RunState.QUEUED)
    return int(tx.execute(select(func.count()).where(waiting)).scalar_one())


def count_alive(tx: Transaction, job_id: str) -> int:
    """How many runs of a job live."""
    living = and_(runs.c.job_id == job_id, runs.c.state.in_(ALIVE))
    return int(tx.execute(select(func.count()).where(living)).scalar_one())


def alive_in_pool(tx: Transaction, pool: str) -> int:
    """How many runs live that take a place of this pool."""
    living = and_(runs.c.pool == pool, runs.c.state.in_(ALIVE))
    return int(tx.execute(select(func.count()).where(living)).scalar_one())
