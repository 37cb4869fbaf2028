"""How long runs took, day by day."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import BigInteger, func, select, type_coerce

from runhook.store.database import Transaction
from runhook.store.tables import EPOCH, jobs, runs

DAY = 86_400_000_000


@dataclass(frozen=True)
class Spent:
    """What the runs that began on one day took, of one owner's jobs of one instance type."""

    day: date
    owner: str
    instance_type: str
    seconds: float


def spent(
    tx: Transaction, start: datetime, end: datetime, owners: Collection[str] | None
) -> list[Spent]:
    """Of the runs that began from `start` until before `end`, have ended and are still kept, of the
    jobs of `owners` (None: of all); by day, in UTC."""
    began, ended = (type_coerce(c, BigInteger) for c in (runs.c.started_at, runs.c.finished_at))
    day = (began - began % DAY).label("day")
    kind = func.coalesce(jobs.c.spec["instance_type"].as_string(), "").label("kind")
    statement = (
        select(day, jobs.c.owner, kind, func.sum(ended - began).label("took"))
        .join(jobs, jobs.c.id == runs.c.job_id)
        .where(runs.c.started_at >= start, runs.c.started_at < end, runs.c.finished_at.is_not(None))
        .group_by(day, jobs.c.owner, kind)
        .order_by(day, jobs.c.owner, kind)
    )
    if owners is not None:
        statement = statement.where(jobs.c.owner.in_(owners))
    return [
        Spent(
            (EPOCH + timedelta(microseconds=int(row.day))).date(),
            row.owner,
            row.kind,
            int(row.took) / 1_000_000,
        )
        for row in tx.execute(statement)
    ]
