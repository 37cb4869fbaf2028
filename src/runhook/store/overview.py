"""What pages show across jobs: each a query or two, however many jobs there are."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select

from runhook.model.run import ACTIVE, RunState
from runhook.store.database import Transaction
from runhook.store.jobs import ArmedSchedule, armed_of
from runhook.store.tables import jobs, runs, schedules


class JobName(NamedTuple):
    """As much of a job as a list of other things shows of it."""

    id: str
    owner: str
    name: str


class Span(NamedTuple):
    """When a run was made, began and ended."""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def job_names(tx: Transaction, job_ids: Collection[str]) -> dict[str, JobName]:
    """The names of jobs by id; those that are gone are left out."""
    statement = select(jobs.c.id, jobs.c.owner, jobs.c.name).where(jobs.c.id.in_(set(job_ids)))
    return {row.id: JobName(row.id, row.owner, row.name) for row in tx.execute(statement)}


def next_schedules(
    tx: Transaction, owners: Collection[str] | None, size: int
) -> Sequence[tuple[ArmedSchedule, JobName]]:
    """Schedules of these owners' jobs (None: of all), those that fire next first, then those that
    are paused or will not fire again."""
    statement = (
        select(schedules, jobs.c.owner, jobs.c.name)
        .join(jobs, jobs.c.id == schedules.c.job_id)
        .where(jobs.c.deleted_at.is_(None))
        .order_by(schedules.c.paused, schedules.c.next_fire_at.is_(None))
        .order_by(schedules.c.next_fire_at, jobs.c.name, schedules.c.position)
    )
    if owners is not None:
        statement = statement.where(jobs.c.owner.in_(owners))
    return [
        (armed_of(row), JobName(row.job_id, row.owner, row.name))
        for row in tx.execute(statement.limit(size))
    ]


def spans(
    tx: Transaction, owners: Collection[str] | None, since: datetime, most: int
) -> list[Span]:
    """The runs that were made since then, the newest first, at most so many; and those that were
    made earlier and are still active."""
    at = runs.c.created_at
    made = select(at, runs.c.started_at, runs.c.finished_at).where(at >= since)
    left = select(at, runs.c.started_at, runs.c.finished_at)
    left = left.where(at < since, runs.c.state.in_(ACTIVE))
    if owners is not None:
        owned = select(jobs.c.id).where(jobs.c.owner.in_(owners))
        made, left = made.where(runs.c.job_id.in_(owned)), left.where(runs.c.job_id.in_(owned))
    found = [
        *tx.execute(made.order_by(at.desc(), runs.c.id.desc()).limit(most)),
        *tx.execute(left.limit(most)),
    ]
    return [Span(row.created_at, row.started_at, row.finished_at) for row in found]


def counts(tx: Transaction) -> dict[str, int]:
    """How many runs of the server are in each state of an active run."""
    statement = (
        select(runs.c.state, func.count().label("many"))
        .where(runs.c.state.in_(ACTIVE))
        .group_by(runs.c.state)
    )
    found: dict[str, int] = {row.state: row.many for row in tx.execute(statement)}
    return {str(state): found.get(state, 0) for state in RunState if state in ACTIVE}
