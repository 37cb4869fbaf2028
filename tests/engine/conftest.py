"""An engine with a fake executor: a test moves the clock and says what runners do."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runhook.bus import Bus
from runhook.engine.dispatcher import Dispatcher
from runhook.engine.scheduler import Scheduler
from runhook.engine.watcher import Watcher
from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.job import Job, JobSpec
from runhook.model.run import Run, Trigger
from runhook.runner.spec import Outcome, Places
from runhook.services import identities, jobs, runs
from runhook.services.capacity import Capacity
from runhook.services.site import Site
from runhook.store.database import Database, sqlite_url
from runhook.store.schema import prepare
from runhook.testing import FakeExecutor

NOON = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)
LIMIT = 2


@dataclass
class Engine:
    """Everything between a start and its outcome, on SQLite."""

    database: Database
    executor: FakeExecutor
    dispatcher: Dispatcher
    watcher: Watcher
    scheduler: Scheduler
    site: Site
    caller: Caller
    now: datetime = NOON

    async def job(self, **spec: object) -> Job:
        definition = JobSpec.model_validate({"name": "a-job", "command": "true", **spec})
        return await self.database.write(
            lambda tx: jobs.create(tx, self.caller, definition, self.now)
        )

    async def start(self, job: Job, **more: object) -> Run:
        request = runs.StartRequest(Trigger.API, **more)  # type: ignore[arg-type]
        return await self.database.write(
            lambda tx: runs.start(tx, self.caller, job.id, request, self.now)
        )

    async def run(self, run: Run) -> Run:
        return await self.database.read(lambda tx: runs.get(tx, self.caller, run.id))

    async def view(self, run: Run) -> runs.RunView:
        capacity = self.site.capacity
        return await self.database.read(
            lambda tx: runs.view(tx, self.caller, run.id, capacity, self.now)
        )

    async def waiting(self, run: Run) -> str:
        """What a queued run waits for, in words."""
        waiting = (await self.view(run)).waiting
        return waiting.sentence if waiting else ""

    async def end(self, run: Run, outcome: Outcome = "succeeded", exit_code: int = 0) -> None:
        """The latest attempt of the run ends like this."""
        attempt = (await self.view(run)).attempt
        assert attempt
        self.executor.finish(attempt.id, outcome, self.now.timestamp(), exit_code)
        self.watcher.tell(attempt.id)
        await self.settle()

    async def runs_of(self, job: Job) -> list[Run]:
        return await self.database.read(
            lambda tx: runs.list_page(tx, self.caller, size=100, job_id=job.id)
        )

    async def settle(self) -> None:
        """Let every loop do all it can at this instant."""
        busy = True
        while busy:
            busy = await self.scheduler.tick(self.now)
            busy |= await self.watcher.tick(self.now)
            await self.watcher.rest()
            busy |= await self.dispatcher.tick(self.now)

    def pass_time(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def make_engine(tmp_path: Path) -> Callable[[Database, FakeExecutor], Engine]:
    """Put an engine together; a second one on the same database is a restarted server."""

    def make(database: Database, executor: FakeExecutor) -> Engine:
        keys = Keys.open(tmp_path / "keys")
        site = Site(
            tmp_path / "attempts",
            Places(str(tmp_path / "cache")),
            1.0,
            "",
            "http://test",
            Capacity(LIMIT, {"gpu": 1}),
        )
        bus = database.bus
        return Engine(
            database,
            executor,
            Dispatcher(database, executor, keys, site),
            Watcher(database, bus, executor, site),
            Scheduler(database),
            site,
            Caller("", "nobody", "main/admin", admin=True),
        )

    return make


@pytest.fixture
async def engine(
    tmp_path: Path, make_engine: Callable[[Database, FakeExecutor], Engine], anyio_backend: str
) -> AsyncIterator[Engine]:
    async with Database(sqlite_url(tmp_path / "test.db"), Bus()) as database:
        prepare(database.engine)
        made = make_engine(database, FakeExecutor())
        user, _ = await database.write(
            lambda tx: identities.ensure_administrator(
                tx, Keys.open(tmp_path / "keys"), "main", NOON
            )
        )
        made.caller = user.caller()
        yield made
        made.watcher.close()
