"""Both databases, for every test of the suite."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runhook.model.job import Job, JobSpec
from runhook.model.run import Trigger
from runhook.store import jobs
from runhook.store.database import Database, sqlite_url
from runhook.store.runs import NewRun
from runhook.store.schema import prepare
from tests.servers.postgres import Postgres, running_postgres

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "test.db")
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(database_url: str, anyio_backend: str) -> AsyncIterator[Database]:
    async with Database(database_url) as opened:
        prepare(opened.engine)
        yield opened


@pytest.fixture
async def job(database: Database) -> Job:
    spec = JobSpec(name="a-job", command="true")
    return await database.write(
        lambda tx: jobs.insert_job(tx, "main/admin", spec, user_id=None, now=NOON)
    )


def new_run(job: Job, **more: object) -> NewRun:
    values = {"trigger": Trigger.API, "started_by": None, "parameters": {}, "created_at": NOON}
    return NewRun(job_id=job.id, job_version=1, **{**values, **more})  # type: ignore[arg-type]
