"""What retention asks of the database, on SQLite and on PostgreSQL alike."""

from datetime import datetime, timedelta

import pytest

from runhook.model.job import Job, JobSpec
from runhook.model.policy import Retention
from runhook.model.run import Run, RunState
from runhook.store import attempts, jobs, queue, retention, runs
from runhook.store.database import Database
from tests.conformance.conftest import NOON, new_run

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)


async def ended(database: Database, job: Job, at: datetime) -> Run:
    """A run that has ended, with one attempt."""
    run = await database.write(lambda tx: runs.insert_run(tx, new_run(job, created_at=at)))
    ((_, attempt),) = await database.write(
        lambda tx: queue.claim(tx, room=1, pools={}, executor="fake", now=at)
    )
    facts = {"finished_at": at, "state": RunState.SUCCEEDED}
    await database.write(lambda tx: attempts.update_attempt(tx, attempt.id, **facts))
    await database.write(lambda tx: runs.transition(tx, run.id, to=RunState.RUNNING, now=at))
    await database.write(lambda tx: runs.transition(tx, run.id, to=RunState.SUCCEEDED, now=at))
    return run


async def test_runs_are_measured_summed_up_and_taken_away(database: Database, job: Job) -> None:
    spec = JobSpec(name="own", command="true", retention=Retention(age="30d", runs=3))
    own = await database.write(
        lambda tx: jobs.insert_job(tx, "main/admin", spec, user_id=None, now=NOON)
    )
    made = [
        await ended(database, each, NOON + n * MINUTE) for n, each in enumerate((job, own, own))
    ]
    ids = [run.id for run in made]
    assert set(await database.read(lambda tx: retention.unmeasured(tx, 10))) == set(ids)
    await database.write(
        lambda tx: retention.note_sizes(tx, dict(zip(ids, (5, 6, 7), strict=True)))
    )
    assert await database.read(lambda tx: retention.unmeasured(tx, 10)) == []
    changes = [
        await database.write(lambda tx: retention.set_pinned(tx, ids[2], True)) for _ in range(2)
    ]
    assert changes == [True, False]
    usage = {each.job_id: each for each in await database.read(retention.usage)}
    assert usage[job.id] == retention.JobUsage(job.id, Retention(), 1, 5, NOON)
    assert usage[own.id] == retention.JobUsage(own.id, spec.retention, 1, 13, NOON + MINUTE)

    oldest = await database.read(lambda tx: retention.oldest(tx, 10))
    assert [(run.id, run.job, run.bytes) for run in oldest] == [
        (ids[0], "main/admin/a-job", 5),
        (ids[1], "main/admin/own", 6),
    ]
    await database.write(lambda tx: retention.mark_pruned(tx, ids[:1], NOON))
    assert [run.id for run in await database.read(lambda tx: retention.oldest(tx, 10))] == ids[1:2]
    late = NOON + 5 * MINUTE
    before = await database.read(lambda tx: retention.ended_before(tx, 10, late))
    assert [run.id for run in before] == ids[:2]
    await database.write(lambda tx: retention.delete_runs(tx, ids[:2]))
    assert await database.read(lambda tx: retention.attempts_of(tx, ids[:2])) == {
        ids[0]: [],
        ids[1]: [],
    }
    found = await database.read(lambda tx: retention.attempts_of(tx, ids[2:]))
    ends = await database.read(lambda tx: retention.ends_of_attempts(tx, found[ids[2]]))
    assert list(ends.values()) == [NOON + 2 * MINUTE]
    assert await database.read(retention.living_attempts) == []
    assert await database.read(retention.environments_in_use) == set()
