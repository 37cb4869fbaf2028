"""Transactions that meet: PostgreSQL runs them side by side, SQLite one after the other."""

import asyncio
import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from runhook.engine.scheduler import fire
from runhook.engine.settle import settle
from runhook.engine.sighting import Sighting
from runhook.errors import Conflict, NotFound
from runhook.model.access import Caller
from runhook.model.job import Job, JobSpec
from runhook.model.run import TERMINAL, RunState, Trigger
from runhook.runner.spec import Result
from runhook.services import jobs as job_service
from runhook.services import outcomes
from runhook.services import runs as run_service
from runhook.store import attempts, jobs, queue, runs
from runhook.store.database import Database
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio
CALLER = Caller("", "nobody", "main/admin", admin=True)
API = run_service.StartRequest(Trigger.API)


async def make(database: Database, **spec: object) -> Job:
    definition = JobSpec.model_validate({"command": "true", **spec})
    return await database.write(lambda tx: job_service.create(tx, CALLER, definition, NOON))


def claim(database: Database, room: int = 4) -> Any:
    return database.write(lambda tx: queue.claim(tx, room=room, pools={}, executor="x", now=NOON))


def failed() -> Sighting:
    return Sighting([], 0, Result("failed", NOON.timestamp(), 1), None)


async def test_a_cancel_that_comes_while_an_attempt_fails_is_not_revived_by_its_retry(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await make(database, name="revive", retry={"count": 1, "delay": "1h"})
    run = await database.write(lambda tx: run_service.start(tx, CALLER, job.id, API, NOON))
    ((_, attempt),) = await claim(database)
    reached, go_on = threading.Event(), threading.Event()
    decide = outcomes._may_retry

    def slowly(*values: Any) -> bool:
        reached.set()
        go_on.wait(1)
        return decide(*values)

    monkeypatch.setattr(outcomes, "_may_retry", slowly)
    settling = asyncio.create_task(
        database.write(lambda tx: settle(tx, attempt, failed(), now=NOON, lost=None))
    )
    await asyncio.to_thread(reached.wait, 10)
    cancelling = asyncio.create_task(
        database.write(lambda tx: run_service.cancel(tx, CALLER, run.id, NOON))
    )
    await asyncio.wait([cancelling], timeout=0.3)  # long enough to overtake, if it could
    go_on.set()
    await asyncio.gather(settling, cancelling)
    ended = await database.read(lambda tx: runs.get_run(tx, run.id))
    assert ended
    assert ended.state == RunState.CANCELLED


@pytest.mark.parametrize("turn", range(5))
async def test_a_job_that_is_deleted_starts_nothing_more(database: Database, turn: int) -> None:
    job = await make(database, name="deleted")
    starts = [
        database.write(lambda tx: run_service.start(tx, CALLER, job.id, API, NOON))
        for _ in range(5)
    ]
    delete = database.write(
        lambda tx: job_service.delete(tx, CALLER, job.id, NOON, allow_active=True)
    )
    deeds = [*starts[:turn], delete, *starts[turn:]]
    results = await asyncio.gather(*deeds, return_exceptions=True)
    errors = [each for each in results if isinstance(each, Exception)]
    assert all(isinstance(each, NotFound) for each in errors), errors
    assert await database.read(lambda tx: runs.active_runs(tx, job.id)) == []


async def test_two_jobs_of_one_name_are_a_conflict_also_at_the_same_instant(
    database: Database,
) -> None:
    made = await asyncio.gather(
        *(make(database, name="same") for _ in range(4)), return_exceptions=True
    )
    assert [type(each) for each in made].count(Job) == 1
    assert [type(each) for each in made].count(Conflict) == 3


async def test_everything_at_once_ends_without_an_error_and_within_the_limits(
    database: Database,
) -> None:
    dice = random.Random(1)
    made = [
        await make(database, name="replacing", overlap="replace", max_running=3),
        await make(database, name="queueing", overlap="queue"),
        await make(database, name="following", triggers=[{"after": "queueing"}]),
        await make(database, name="ticking", schedules=[{"cron": "@every 10s"}], retries=1),
    ]
    (armed,) = await database.read(lambda tx: jobs.list_schedules(tx, made[3].id))

    async def start() -> None:
        job = dice.choice(made)
        await database.write(lambda tx: run_service.start(tx, CALLER, job.id, API, NOON))

    async def tick() -> None:
        at = NOON + timedelta(seconds=dice.randrange(200))
        await database.write(lambda tx: fire(tx, armed.id, at))

    async def edit() -> None:
        spec = JobSpec.model_validate(
            {**made[3].spec.recipe_spec(), "description": str(dice.random())}
        )
        await database.write(lambda tx: job_service.change(tx, CALLER, made[3].id, spec, NOON))

    async def end() -> None:
        living = await database.read(attempts.unfinished_attempts)
        if living:
            attempt, _ = dice.choice(living)
            outcome = dice.choice(["succeeded", "failed"])
            seen = Sighting([], 0, Result(outcome, NOON.timestamp()), None)  # type: ignore[arg-type]
            await database.write(lambda tx: settle(tx, attempt, seen, now=NOON, lost=None))

    async def cancel() -> None:
        active = await database.read(lambda tx: runs.active_runs(tx, made[0].id))
        if active:
            run = dice.choice(active)
            await database.write(lambda tx: run_service.cancel(tx, CALLER, run.id, NOON))

    deeds: list[Callable[[], Any]] = [
        start,
        start,
        tick,
        edit,
        end,
        end,
        cancel,
        lambda: claim(database),
    ]
    for _ in range(40):
        await asyncio.gather(*(dice.choice(deeds)() for _ in range(8)))
    while await database.read(attempts.unfinished_attempts) or await claim(database):
        await end()
        for job in made:
            await database.write(
                lambda tx, each=job: run_service.cancel_all(tx, CALLER, each.id, NOON)
            )
    every = await database.read(lambda tx: runs.list_runs(tx, runs.RunFilter(), size=5000))
    assert len(every) > 40
    assert {run.state for run in every if run.cancel_requested_at is None} <= TERMINAL
