"""The level without bubblewrap: a system user for each job, and nothing else."""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runhook.executors.local import LocalExecutor
from runhook.isolation import Isolation
from runhook.places import run_directory
from runhook.runner.levels import own_uid
from runhook.runner.probe import Found
from runhook.runner.spec import (
    EnvironmentRequest,
    IsolationSpec,
    Places,
    Result,
    RunSpec,
    Secrets,
)
from tests.security.conftest import SYSTEM_PYTHON

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        os.geteuid() != 0 or not SYSTEM_PYTHON.exists(),
        reason="only root can give a job a user of its own, and it needs the system's Python",
    ),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def data(anyio_backend: str) -> AsyncIterator[Path]:
    """A data directory where other users can get to, prepared as a server does."""
    home = Path(tempfile.mkdtemp(prefix="rh-own-", dir="/var/tmp"))
    home.chmod(0o755)
    data = home / "data"
    (data / "keys").mkdir(parents=True)
    (data / "keys" / "server.key").write_text("kept-secret")
    (data / "runhook.db").write_text("kept-secret")
    isolation = Isolation("auto", Found("own_user"), IsolationSpec("own_user"))
    isolation.prepare(data)
    yield data
    shutil.rmtree(home)


async def ran(data: Path, command: str, job: str = "2" * 32, **more: object) -> tuple[str, Result]:
    """The log and the result of an attempt at this level."""
    attempt = uuid.uuid4().hex
    spec = RunSpec(
        attempt_id=attempt,
        run_id="1" * 32,
        job_id=job,
        job_name="a-job",
        directory=str(data / "attempts" / attempt[:2] / attempt),
        requested_at=time.time(),
        trigger="api",
        places=Places(str(data / "cache")),
        command=command,
        environment=EnvironmentRequest(python=_system_version()),
        isolation=IsolationSpec("own_user"),
        grace=1.0,
        **more,  # type: ignore[arg-type]
    )
    executor = LocalExecutor(run_directory(data))
    spec.save()
    try:
        await executor.ended(await executor.start(spec, Secrets()))
    finally:
        await executor._ask({"op": "leave"})
        await executor.close()
    result = Result.load(Path(spec.directory))
    assert result
    return (Path(spec.directory) / "log").read_text(), result


def _system_version() -> str:
    """The system's Python down to the last number, so that no other one fits."""
    words = [str(SYSTEM_PYTHON), "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


async def test_the_work_is_another_user_and_reads_nothing_of_the_servers(data: Path) -> None:
    command = f"""
        id -u; cat {data}/keys/server.key {data}/runhook.db; ls {data} {data}/attempts
        touch $VIRTUAL_ENV/planted && echo planted; python -c 'print(1 + 1)'; ls -A ..
        echo mine > $RUNHOOK_ARTIFACTS/file; echo 7 > $RUNHOOK_RESULT
        grep -E 'NoNewPrivs|CapBnd' /proc/self/status; kill -SEGV $$
    """
    log, result = await ran(data, command)
    assert (result.outcome, result.signal) == ("failed", 11), log
    assert log.splitlines()[0] == str(own_uid("2" * 32))
    assert "kept-secret" not in log
    assert "planted\n" not in log
    assert "\n2\n" in log
    assert "NoNewPrivs:\t1" in log
    assert "CapBnd:\t0000000000000000" in log
    assert log.count("Permission denied") >= 5
    (kept,) = data.glob("attempts/*/*/artifacts/file")
    assert (kept.read_text(), kept.stat().st_uid) == ("mine\n", 0)
