"""Rows of attempts, from the claim of a queued run to the end of the try."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from runhook.model.run import Attempt, Run, RunState
from runhook.store.database import Transaction
from runhook.store.runs import run_of
from runhook.store.tables import attempts, new_id, runs
from runhook.store.text import storable


def insert_attempt(tx: Transaction, run_id: str, executor: str, now: datetime) -> Attempt:
    """The next attempt of a run that was claimed."""
    number = tx.execute(
        select(func.coalesce(func.max(attempts.c.number), 0) + 1).where(attempts.c.run_id == run_id)
    ).scalar_one()
    row = tx.execute(
        insert(attempts)
        .values(
            id=new_id(),
            run_id=run_id,
            number=number,
            executor=executor,
            state=RunState.STARTING,
            created_at=now,
        )
        .returning(attempts)
    ).one()
    return attempt_of(row)


def update_attempt(tx: Transaction, attempt_id: str, **facts: Any) -> bool:
    """Set columns of an attempt that has not finished; False if it has."""
    facts = storable(facts)
    statement = (
        update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.finished_at.is_(None))
        .values(**facts)
        .returning(attempts.c.id)
    )
    return tx.execute(statement).scalar_one_or_none() is not None


def disown(tx: Transaction, handle: dict[str, Any]) -> int:
    """Give every unfinished attempt this handle, which names no process; how many those were. After
    a restore none of them is ours: not to be started, not to be waited for, not to be ended."""
    living = attempts.c.finished_at.is_(None)
    return tx.execute(update(attempts).where(living).values(handle=handle)).rowcount


def unfinished_attempts(tx: Transaction) -> list[tuple[Attempt, Run]]:
    """Every attempt that lives as far as the database knows, with its run."""
    living = select(attempts).where(attempts.c.finished_at.is_(None))
    found = [attempt_of(row) for row in tx.execute(living.order_by(attempts.c.created_at))]
    theirs = select(runs).where(runs.c.id.in_([attempt.run_id for attempt in found]))
    by_id = {row.id: run_of(row) for row in tx.execute(theirs)} if found else {}
    return [(each, by_id[each.run_id]) for each in found if each.run_id in by_id]


def unhandled_attempts(tx: Transaction) -> list[tuple[Attempt, Run]]:
    """Attempts that were claimed and, as far as the database knows, never handed to an executor."""
    return [pair for pair in unfinished_attempts(tx) if pair[0].handle is None]


def count_unfinished_attempts(tx: Transaction) -> int:
    """How many attempts live as far as the database knows."""
    statement = select(func.count()).select_from(attempts).where(attempts.c.finished_at.is_(None))
    return int(tx.execute(statement).scalar_one())


def get_attempt(tx: Transaction, attempt_id: str) -> Attempt | None:
    row = tx.execute(select(attempts).where(attempts.c.id == attempt_id)).one_or_none()
    return None if row is None else attempt_of(row)


def attempt_ids(tx: Transaction, job_id: str) -> list[str]:
    """The ids of all attempts of a job."""
    statement = select(attempts.c.id).join(runs, runs.c.id == attempts.c.run_id)
    return list(tx.execute(statement.where(runs.c.job_id == job_id)).scalars())


def last_succeeded(tx: Transaction, job_id: str, *, before: int, limit: int) -> list[str]:
    """The ids of the attempts with which the last `limit` runs of a job before that number
    succeeded, newest first."""
    succeeded = RunState.SUCCEEDED
    latest = select(runs.c.id, runs.c.number).where(
        runs.c.job_id == job_id, runs.c.state == succeeded, runs.c.number < before
    )
    found = latest.order_by(runs.c.number.desc()).limit(limit).subquery()
    statement = select(attempts.c.id).join(found, found.c.id == attempts.c.run_id)
    statement = statement.where(attempts.c.state == succeeded).order_by(found.c.number.desc())
    return list(tx.execute(statement).scalars())


def list_attempts(tx: Transaction, run_id: str) -> list[Attempt]:
    """The attempts of a run, first to last."""
    statement = select(attempts).where(attempts.c.run_id == run_id).order_by(attempts.c.number)
    return [attempt_of(row) for row in tx.execute(statement)]


def attempts_of_runs(tx: Transaction, run_ids: Collection[str]) -> dict[str, list[Attempt]]:
    """The attempts of each of some runs, first to last."""
    if not run_ids:
        return {}
    statement = select(attempts).where(attempts.c.run_id.in_(run_ids)).order_by(attempts.c.number)
    found: dict[str, list[Attempt]] = {}
    for row in tx.execute(statement):
        found.setdefault(row.run_id, []).append(attempt_of(row))
    return found


def attempt_of(row: Row[Any]) -> Attempt:
    """An Attempt from a row that holds the columns of `attempts`."""
    values = {name: row._mapping[name] for name in Attempt.__dataclass_fields__}
    return Attempt(**values | {"state": RunState(row.state)})
