"""Servers that hostile jobs run on: the one of this test run, and one without special rights."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, Api, LiveServer, Repository, clean_environment
from tests.servers.index import Index, serving
from tests.servers.system_parts import require

NOBODY = 65534
SYSTEM_PYTHON = Path("/usr/bin/python3")


@dataclass
class UnprivilegedServer(LiveServer):
    """A server of the user nobody, run by the system's Python: it may not reach this one."""

    def command(self, *words: str) -> list[str]:
        drop = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        return [*drop, str(SYSTEM_PYTHON), "-m", "runhook", *words, "--data", str(self.data)]

    def token(self) -> str:
        command = self.command("token")
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env=self.environment, cwd="/"
        )
        return done.stdout.strip()

    def start(self, port: int = 0) -> "UnprivilegedServer":
        with (self.data.parent / "server.err").open("ab") as errors:
            self.process = subprocess.Popen(
                self.command("up", "--port", str(port)),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=self.environment,
                cwd="/",
                start_new_session=True,
            )
        self.wait_until_ready()
        return self


@pytest.fixture(scope="session")
def unprivileged_api() -> Iterator[Api]:
    """A signed-in caller of a server without special rights."""
    require("bwrap")
    if os.geteuid() != 0 or not SYSTEM_PYTHON.exists():
        pytest.skip("only root can start a server as another user, with the system's Python")
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    words = [str(SYSTEM_PYTHON), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    if subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() != minor:
        pytest.skip(f"the system's Python is not {minor}, which the packages here are for")
    home = Path(tempfile.mkdtemp(prefix="rh-nobody-", dir="/var/tmp"))
    data = home / "data"
    data.mkdir()
    for folder in (home, data):
        os.chown(folder, NOBODY, NOBODY)
    path = f"{ROOT / 'src'}:{sysconfig.get_paths()['purelib']}"
    environment = clean_environment(home) | {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "RUNHOOK_GIT_ALLOW_FILE_URLS": "1",
        "RUNHOOK_RUNS_GRACE": "2",
    }
    server = UnprivilegedServer(data, environment)
    try:
        api = Api(server.start(), server.token())
        api.finished(api.start(api.apply(name="warm-up", command="true"))["id"])
        yield api
    finally:
        server.stop()
        server.end_everything()
        shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class Ran:
    """A run that has ended, and what it wrote."""

    run: dict[str, object]
    log: str
    directory: Path

    @property
    def kept(self) -> dict[str, Path]:
        """What is left of its artifacts."""
        top = self.directory / "artifacts"
        return {str(path.relative_to(top)): path for path in top.rglob("*")}


@dataclass(frozen=True)
class Attacker:
    """Somebody who may write jobs on the server, and nothing else."""

    api: Api

    @property
    def data(self) -> Path:
        return self.api.server.data

    def begin(self, command: str, name: str, **spec: object) -> tuple[object, Path]:
        """Start a job; the id of its run and its directory, once it has written to its log."""
        run = self.api.start(self.api.apply(name=name, command=command, **spec))["id"]
        with self.api.request("GET", f"/api/runs/{run}/log?follow=1", stream=True) as stream:
            for line in stream.iter_lines():
                if line.startswith(b"data:") or line == b"event: end":
                    break
        return run, self.directory(run)

    def directory(self, run: object) -> Path:
        attempt = self.api.run(run)["attempts"][-1]["id"]  # type: ignore[index]
        return self.data / "attempts" / attempt[:2] / attempt

    def run(self, command: str, name: str = "hostile", **spec: object) -> Ran:
        """Run a command to its end, as the job of that name."""
        started = self.api.start(self.api.apply(name=name, command=command, **spec))["id"]
        run = self.api.finished(started)
        return Ran(run, self.api.log(started), self.directory(started))


@pytest.fixture(params=["shared", "unprivileged"])
def attacker(request: pytest.FixtureRequest) -> Attacker:
    """On the server of this test run, with the rights that this has, and on one with none."""
    return Attacker(request.getfixturevalue(f"{request.param}_api"))


@pytest.fixture
def victim(attacker: Attacker) -> Iterator[Path]:
    """The directory of a run of another job, which is at work and has a secret."""
    command = "echo kept-secret > secret.txt; echo up; exec sleep 600"
    variables = {"SECRET": "kept-secret"}
    run, directory = attacker.begin(command, "victim", environment_variables=variables)
    yield directory
    assert attacker.api.run(run)["state"] == "running", "the victim did not survive"
    attacker.api.request("POST", f"/api/runs/{run}/cancel")
    attacker.api.finished(run)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """A package index of this test's own."""
    folder = tmp_path / "index"
    folder.mkdir()
    with serving(folder) as made:
        yield made


@pytest.fixture
def materials(attacker: Attacker) -> Repository:
    """An empty repository that the server of the attacker may read."""
    made = Repository(attacker.data.parent / "remotes" / uuid.uuid4().hex)
    made.path.mkdir(parents=True)
    made.git("init", "--initial-branch", "main")
    return made


def requiring(materials: Repository, text: str) -> dict[str, object]:
    """What a job says whose packages are in a requirements file of its repository."""
    materials.commit({"requirements.txt": text})
    return {
        "git_repositories": [{"url": materials.url, "path": "materials"}],
        "environment": {"file": "materials/requirements.txt"},
    }


def wait_until_gone(path: Path, seconds: float = 20) -> None:
    """A run is put away after its end is told."""
    limit = time.monotonic() + seconds
    while os.path.lexists(path):
        assert time.monotonic() < limit, f"{path} is still there"
        time.sleep(0.02)
