"""What every test may ask for: a real server of its own, and a client that is signed in."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import requests

ROOT = Path(__file__).parent.parent
READY = re.compile(r"Runhook is ready at (http://\S+)")
LINK = re.compile(r"(http://\S+/dash/sign-in\?\S+)")


@dataclass
class LiveServer:
    """A `runhook up` process."""

    data: Path
    environment: dict[str, str]
    url: str = ""
    link: str | None = None
    process: subprocess.Popen[str] | None = None
    output: list[str] = field(default_factory=list)

    def start(self, port: int = 0) -> "LiveServer":
        """Start it and wait until it serves."""
        command = [
            sys.executable,
            "-m",
            "runhook",
            "up",
            "--data",
            str(self.data),
            "--port",
            str(port),
        ]
        with (self.data.parent / "server.err").open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=self.environment,
                start_new_session=True,
            )
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Read what it says until it serves."""
        assert self.process and self.process.stdout
        for line in self.process.stdout:
            self.output.append(line)
            ready, link = READY.search(line), LINK.search(line)
            self.url = ready[1] if ready else self.url
            self.link = link[1] if link else self.link
            if "API" in line:
                return
        raise AssertionError(
            f"the server did not start: {(self.data.parent / 'server.err').read_text()}"
        )

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal and wait for the end of the server process."""
        assert self.process
        self.process.send_signal(number)
        self.process.wait(20)
        if self.process.stdout:
            self.process.stdout.close()

    def stop(self) -> None:
        if self.process and self.process.returncode is None:
            self.kill(signal.SIGTERM)

    def end_runners(self) -> None:
        """End every process whose command line names the data directory."""
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.data) in word for word in process.info["cmdline"] or ()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def token(self) -> str:
        """The administrator's token, by the command line."""
        command = [sys.executable, "-m", "runhook", "token", "--data", str(self.data)]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=self.environment
        ).stdout.strip()


@dataclass
class Api:
    """A signed-in caller of a live server."""

    server: LiveServer
    token: str

    def request(self, method: str, path: str, **more: object) -> requests.Response:
        headers = {"Authorization": f"token {self.token}"} | dict(more.pop("headers", {}))  # type: ignore[call-overload]
        return requests.request(method, self.server.url + path, headers=headers, timeout=60, **more)  # type: ignore[arg-type]

    def apply(self, **spec: object) -> str:
        """Create or change a job; its id."""
        answer = self.request("PUT", "/api/recipes", json={"type": "job", "spec": spec})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["state"]["id"])

    def start(self, job_id: str, **more: object) -> dict[str, object]:
        """Start a job; its run."""
        answer = self.request("POST", f"/api/jobs/{job_id}/start", **more)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["run"])

    def log(self, run_id: object) -> str:
        return self.request("GET", f"/api/runs/{run_id}/log").text

    def run(self, run_id: object) -> dict[str, object]:
        return dict(self.request("GET", f"/api/runs/{run_id}").json())

    def finished(self, run_id: object) -> dict[str, object]:
        """The run once it has ended: waits for the end of its log's stream."""
        with self.request("GET", f"/api/runs/{run_id}/log?follow=1", stream=True) as stream:
            for line in stream.iter_lines():
                if line == b"event: end":
                    break
        run = self.run(run_id)
        return (
            run if run["state"] not in ("queued", "starting", "running") else self.finished(run_id)
        )


def clean_environment(home: Path, **settings: str) -> dict[str, str]:
    """The environment of a server under test: nothing of this machine's configuration."""
    kept = ("PATH", "LANG", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return environment | {"HOME": str(home), "PYTHONPATH": str(ROOT / "src"), **settings}


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environments that the servers of one test run share, so that each is built once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every server under test opens to its runs."""
    folder = tmp_path_factory.mktemp("opened")
    folder.chmod(0o777)
    return folder


@pytest.fixture
def meeting(opened: Path) -> Path:
    """A folder where a test and its runs leave each other signs."""
    folder = opened / uuid.uuid4().hex
    folder.mkdir()
    folder.chmod(0o777)
    return folder


MakeServer = Callable[..., LiveServer]


def _maker(home: Path, cache: Path, opened: Path) -> Iterator[MakeServer]:
    made: list[LiveServer] = []

    def make(name: str = "data", **settings: str) -> LiveServer:
        data = home / name
        data.mkdir(exist_ok=True)
        (data / "cache").symlink_to(cache)
        usual = {"RUNHOOK_GIT_ALLOW_FILE_URLS": "1", "RUNHOOK_RUNS_FOLDERS": f"{opened}:rw"}
        settings = {**usual, **settings}
        server = LiveServer(data, clean_environment(home, **settings))
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
        server.end_runners()


@pytest.fixture
def make_server(tmp_path: Path, shared_cache: Path, opened: Path) -> Iterator[MakeServer]:
    """Make servers that are stopped, with what they ran, after the test."""
    yield from _maker(tmp_path, shared_cache, opened)


@pytest.fixture
def server(make_server: MakeServer) -> LiveServer:
    """A server that serves, for this test alone."""
    return make_server().start()


@pytest.fixture
def api(server: LiveServer) -> Api:
    """A signed-in caller of `server`."""
    return Api(server, server.token())


@pytest.fixture(scope="session")
def shared_api(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, opened: Path
) -> Iterator[Api]:
    """A signed-in caller of one server that all tests share which do not disturb it. The base
    environment is built, so set-up has nothing to say in the logs of their runs."""
    for make in _maker(tmp_path_factory.mktemp("shared"), shared_cache, opened):
        server = make().start()
        api = Api(server, server.token())
        api.finished(api.start(api.apply(name="warm-up", command="true"))["id"])
        yield api


@dataclass
class Repository:
    """A real git repository with a working tree, to be pushed from nowhere: it is the remote."""

    path: Path

    @property
    def url(self) -> str:
        return self.path.as_uri()

    def git(self, *words: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
        return subprocess.run(
            command, cwd=self.path, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        """Write and commit `files`; the new commit."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository called materials, on branch main."""
    made = Repository(tmp_path / "remotes" / "materials")
    made.path.mkdir(parents=True)
    made.git("init", "--initial-branch", "main")
    return made
