"""Pages across jobs: what they ask the database, and that it does not grow with the list."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from runhook.model.access import Caller
from runhook.model.job import JobSpec
from runhook.model.run import RunState
from runhook.services import jobs as job_service
from runhook.services import overview as overview_service
from runhook.store import jobs, overview, runs
from runhook.store.database import Database, Transaction
from tests.conformance.conftest import NOON, new_run

pytestmark = pytest.mark.anyio
ADMIN = Caller("a", "admin", "main/admin", admin=True)
ADA = Caller("b", "ada", "main/ada")


def make(tx: Transaction, name: str, owner: str = "main/admin", cron: str | None = None) -> str:
    spec = JobSpec.model_validate({"name": name, "command": "true", "schedule": cron})
    job = jobs.insert_job(tx, owner, spec, user_id=None, now=NOON)
    jobs.replace_schedules(tx, job.id, spec.rules, NOON)
    for _ in range(2):
        run = runs.insert_run(tx, new_run(job))
        runs.transition(tx, run.id, to=RunState.STARTING, now=NOON)
    runs.insert_run(tx, new_run(job))
    return job.id


async def test_schedules_come_in_the_order_of_their_fires_and_only_those_one_sees(
    database: Database,
) -> None:
    def work(tx: Transaction) -> None:
        make(tx, "daily", cron="0 6 * * *")
        make(tx, "soon", cron="1 12 * * *")
        make(tx, "hers", "main/ada", "0 13 * * *")
        make(tx, "by-hand")
        jobs.pause_schedules(tx, make(tx, "paused", cron="* * * * *"), True, NOON)

    await database.write(work)
    found = await database.read(lambda tx: overview_service.planned(tx, ADMIN, NOON))
    assert [each.job.name for each in found] == ["soon", "hers", "daily", "paused"]
    assert [len(each.fires) for each in found] == [1, 1, 1, 0]
    later = NOON + timedelta(minutes=30)
    late = await database.read(lambda tx: overview_service.planned(tx, ADMIN, later))
    assert [each.late for each in late] == [True, False, False, False]
    hers = await database.read(lambda tx: overview_service.planned(tx, ADA, NOON))
    assert [each.job.name for each in hers] == ["hers"]


async def test_the_day_counts_what_waits_and_what_is_alive(database: Database) -> None:
    await database.write(lambda tx: make(tx, "a-job"))
    counts = await database.read(lambda tx: overview_service.active(tx, ADMIN))
    assert counts == {"queued": 1, "starting": 2, "running": 0}
    later = NOON + timedelta(hours=1)
    load = await database.read(lambda tx: overview_service.load(tx, ADMIN, later))
    assert max(load.waiting) == 3
    assert load.whole
    assert await database.read(lambda tx: overview.spans(tx, ["main/ada"], NOON, 5)) == []


async def test_a_page_of_jobs_asks_as_much_as_one_job(database: Database) -> None:
    """No query a row, however many runs each has."""
    asked: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, many) -> None:  # type: ignore[no-untyped-def]
        asked.append(statement)

    def look(tx: Transaction, size: int) -> int:
        asked.clear()
        found = job_service.list_page(tx, ADMIN, size=size)
        views = job_service.views(tx, found, durations=30)
        assert len(views) == size
        return len(asked)

    def work(tx: Transaction) -> None:
        for number in range(20):
            make(tx, f"job-{number}", cron="@daily")

    await database.write(work)
    one = await database.read(lambda tx: look(tx, 1))
    assert await database.read(lambda tx: look(tx, 20)) == one
    assert one < 10
