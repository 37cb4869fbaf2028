"""Real attempts on the local executor, with environments that the whole test run shares."""

import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
import pytest

from runhook.executors.base import Handle
from runhook.executors.local import LocalExecutor
from runhook.places import run_directory
from runhook.runner.levels import Level
from runhook.runner.probe import probe
from runhook.runner.spec import IsolationSpec, Places, Result, RunSpec, Secrets


@dataclass
class Bench:
    """Starts attempts and tells how they ended."""

    executor: LocalExecutor
    root: Path
    cache: Path
    isolation: IsolationSpec

    def spec(self, **values: object) -> RunSpec:
        attempt_id = uuid.uuid4().hex
        given = {"grace": 1.0, "isolation": self.isolation, **values}
        if "notebook" not in given:
            given.setdefault("command", "true")
        return RunSpec(
            attempt_id=attempt_id,
            run_id="1" * 32,
            job_id="2" * 32,
            job_name="a-job",
            directory=str(self.root / attempt_id),
            requested_at=time.time(),
            trigger="api",
            places=Places(str(self.cache), allow_file_urls=True),
            **given,  # type: ignore[arg-type]
        )

    async def start(self, spec: RunSpec, secrets: Secrets | None = None) -> Handle:
        spec.save()
        return await self.executor.start(spec, secrets or Secrets())

    async def run(self, spec: RunSpec, secrets: Secrets | None = None) -> Result:
        """The attempt's end; its log is `log(spec)`."""
        await self.executor.ended(await self.start(spec, secrets))
        result = Result.load(Path(spec.directory))
        assert result is not None, (Path(spec.directory) / "log").read_text()
        return result


def log(spec: RunSpec) -> bytes:
    return (Path(spec.directory) / "log").read_bytes()


def processes_of(spec: RunSpec) -> list[psutil.Process]:
    """Every process that was started for the attempt and lives."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RUNHOOK_ATTEMPT_ID") == spec.attempt_id:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@cache
def level() -> Level:
    """The best that this machine gives, as a server would find it."""
    return probe().level


@pytest.fixture
async def bench(tmp_path: Path, shared_cache: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    executor = LocalExecutor(run_directory(tmp_path))
    isolation = IsolationSpec(level(), [str(tmp_path), str(shared_cache)])
    made = Bench(executor, tmp_path / "attempts", shared_cache, isolation)
    yield made
    await executor._ask({"op": "leave"})
    await executor.close()
