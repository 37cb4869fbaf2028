"""Rows as retention sees them: what ended runs keep on disk, and taking them away.

A run "keeps files" from the moment they were measured (`kept_bytes`) until they are gone
(`pruned_at`). Which runs go is decided by `services.retention`; deleted jobs are nobody's business
here but the pruner's (`runs_of_deleted_job`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, select, update

from runhook.model.policy import Retention
from runhook.model.run import TERMINAL
from runhook.store.database import Transaction
from runhook.store.tables import attempts, events, jobs, runs

ENDED = runs.c.state.in_(TERMINAL)
KEEPS_FILES = and_(ENDED, runs.c.pruned_at.is_(None), runs.c.kept_bytes > 0)


@dataclass(frozen=True)
class KeptRun:
    """An ended run with what it keeps; `at` is its end."""

    id: str
    job: str
    number: int
    at: datetime
    bytes: int


@dataclass(frozen=True)
class JobUsage:
    """What the ended runs of a job keep. `bytes` counts pinned runs too; `runs` and `oldest` (the
    end of the oldest) do not."""

    job_id: str
    retention: Retention
    runs: int
    bytes: int
    oldest: datetime | None


def usage(tx: Transaction) -> list[JobUsage]:
    """The usage of every job that keeps anything."""
    loose = runs.c.pinned.is_(False)
    statement = (
        select(
            runs.c.job_id,
            jobs.c.spec["retention"].label("retention"),
            func.count().filter(loose).label("loose"),
            func.sum(runs.c.kept_bytes).label("bytes"),
            func.min(runs.c.finished_at).filter(loose).label("oldest"),
        )
        .join(jobs, jobs.c.id == runs.c.job_id)
        .where(KEEPS_FILES, jobs.c.deleted_at.is_(None))
        .group_by(runs.c.job_id, jobs.c.id)
    )
    return [
        JobUsage(
            row.job_id,
            Retention.model_validate(row.retention or {}),
            row.loose,
            int(row.bytes),
            row.oldest,
        )
        for row in tx.execute(statement)
    ]


def oldest(tx: Transaction, limit: int, job_id: str | None = None) -> list[KeptRun]:
    """Unpinned runs that keep files, those that ended first coming first; of one job or of all."""
    wanted = [KEEPS_FILES, runs.c.pinned.is_(False)]
    return _kept(tx, limit, *wanted, *([runs.c.job_id == job_id] if job_id else []))


def ended_before(tx: Transaction, limit: int, instant: datetime) -> list[KeptRun]:
    """Unpinned runs that ended before `instant`, whether they keep anything or not. They were made
    before it, too: that has an index, and leaves few to look at."""
    old = and_(runs.c.created_at < instant, runs.c.finished_at < instant)
    return _kept(tx, limit, ENDED, runs.c.pinned.is_(False), old)


def _kept(tx: Transaction, limit: int, *wanted: ColumnElement[bool]) -> list[KeptRun]:
    columns = (runs.c.id, runs.c.number, runs.c.finished_at, runs.c.kept_bytes)
    statement = (
        select(*columns, jobs.c.owner, jobs.c.name)
        .join(jobs, jobs.c.id == runs.c.job_id)
        .where(*wanted, jobs.c.deleted_at.is_(None))
        .order_by(runs.c.finished_at, runs.c.id)
        .limit(limit)
    )
    return [
        KeptRun(row.id, f"{row.owner}/{row.name}", row.number, row.finished_at, row.kept_bytes or 0)
        for row in tx.execute(statement)
    ]


def runs_of_deleted_job(tx: Transaction, job_id: str, limit: int) -> list[str]:
    """Ids of runs of a job, pinned or not."""
    statement = select(runs.c.id).where(runs.c.job_id == job_id).limit(limit)
    return list(tx.execute(statement).scalars())


def unmeasured(tx: Transaction, limit: int) -> list[str]:
    """Ids of ended runs of which nobody knows yet what they keep."""
    statement = select(runs.c.id).where(
        ENDED, runs.c.kept_bytes.is_(None), runs.c.pruned_at.is_(None)
    )
    return list(tx.execute(statement.limit(limit)).scalars())


def attempts_of(tx: Transaction, run_ids: Collection[str]) -> dict[str, list[str]]:
    """The ids of the attempts of each of these runs."""
    found: dict[str, list[str]] = {run_id: [] for run_id in run_ids}
    statement = select(attempts.c.run_id, attempts.c.id).where(attempts.c.run_id.in_(run_ids))
    for row in tx.execute(statement):
        found[row.run_id].append(row.id)
    return found


def note_sizes(tx: Transaction, sizes: Mapping[str, int]) -> None:
    """Keep what each run (by its id) was found to take, in bytes."""
    if sizes:
        statement = (
            update(runs).where(runs.c.id == bindparam("run")).values(kept_bytes=bindparam("n"))
        )
        tx.execute(statement, [{"run": run_id, "n": size} for run_id, size in sizes.items()])


def mark_pruned(tx: Transaction, run_ids: Collection[str], now: datetime) -> None:
    """Their files are gone, so whoever looks at them can be told."""
    values: dict[str, Any] = {"pruned_at": now, "kept_bytes": 0}
    tx.execute(update(runs).where(runs.c.id.in_(run_ids)).values(**values))
    tx.publish("runs", *(f"run/{run_id}" for run_id in run_ids))


def delete_runs(tx: Transaction, run_ids: Collection[str]) -> None:
    """Remove the rows, with their attempts and events."""
    tx.execute(delete(runs).where(runs.c.id.in_(run_ids)))
    tx.publish("runs")


def set_pinned(tx: Transaction, run_id: str, pinned: bool) -> bool:
    """False if it was so already."""
    statement = (
        update(runs)
        .where(runs.c.id == run_id, runs.c.pinned.is_not(pinned))
        .values(pinned=pinned)
        .returning(runs.c.job_id)
    )
    job_id = tx.execute(statement).scalar_one_or_none()
    if job_id is not None:
        tx.publish("runs", f"run/{run_id}", f"job/{job_id}")
    return job_id is not None


def ends_of_attempts(tx: Transaction, attempt_ids: Collection[str]) -> dict[str, datetime | None]:
    """When each of these attempts ended, None for those that live; unknown ids are left out."""
    columns = (attempts.c.id, attempts.c.finished_at)
    statement = select(*columns).where(attempts.c.id.in_(attempt_ids))
    return {row.id: row.finished_at for row in tx.execute(statement)}


def living_attempts(tx: Transaction) -> list[str]:
    """The ids of the attempts that have not ended."""
    statement = select(attempts.c.id).where(attempts.c.finished_at.is_(None))
    return list(tx.execute(statement).scalars())


def environments_in_use(tx: Transaction, held: Collection[str] = ()) -> set[str]:
    """The keys of the environments that living attempts, and those `held`, have said they use."""
    used = attempts.c.finished_at.is_(None) | attempts.c.id.in_(held)
    statement = (
        select(events.c.attempt_id, events.c.data)
        .join(attempts, attempts.c.run_id == events.c.run_id)
        .where(used, events.c.kind == "environment")
    )
    return {str(row.data.get("key")) for row in tx.execute(statement)}
