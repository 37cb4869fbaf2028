"""What every test may ask for: a real server of its own, and a client that is signed in."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
import requests

from runhook.places import run_directory

ROOT = Path(__file__).parent.parent
READY = re.compile(r"Runhook is ready at (https?://\S+)")
PATIENCE = 200.0
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

    def working(self) -> list[psutil.Process]:
        """Every process that works in an attempt's directory, or has its home there."""
        found = []
        place = str(self.data / "attempts")
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(psutil.Error, OSError):
                home = process.environ().get("HOME", "")
                if home.startswith(place) or process.cwd().startswith(place):
                    found.append(process)
        return found

    def end_everything(self) -> None:
        """End the server and all that it has left: runners, their parent, and what they run."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        sockets = ""
        with contextlib.suppress(PermissionError):  # a test may have opened it to others
            sockets = str(run_directory(self.data))
        for process in psutil.process_iter(["cmdline"]):
            with contextlib.suppress(psutil.Error, OSError):
                named = any(str(self.data) in word for word in process.info["cmdline"] or ())
                if named or process.cwd() == sockets:
                    process.kill()
        for process in self.working():
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

    def person(self, name: str, roles: Mapping[str, str] = MappingProxyType({})) -> "Api":
        """Somebody else at the same server, called `name` and with these roles (owner → role: a
        group, made when it is missing, or this caller, who must be an administrator); who is there
        already gets them, too."""
        if self.request("GET", f"/api/users/{name}").status_code == 404:
            self._done("POST", "/api/users", json={"username": name})
        mine = self.request("GET", "/api/user").json()["owner"]
        for owner, role in roles.items():
            if owner == mine:
                self._done("PUT", f"/api/user/members/{name}", json={"role": role})
                continue
            group = owner.rpartition("/")[2]
            if self.request("GET", f"/api/groups/{group}").status_code == 404:
                self._done("POST", "/api/groups", json={"groupname": group})
            self._done("PUT", f"/api/groups/{group}/members/{name}", json={"role": role})
        link = self._done("POST", f"/api/users/{name}/reset-link").json()["url"]
        return Api(self.server, set_password(self.server.url, link))

    def _done(self, method: str, path: str, **more: object) -> requests.Response:
        answer = self.request(method, path, **more)
        assert answer.ok, answer.text
        return answer

    def log(self, run_id: object) -> str:
        return self.request("GET", f"/api/runs/{run_id}/log").text

    def run(self, run_id: object) -> dict[str, object]:
        return dict(self.request("GET", f"/api/runs/{run_id}").json())

    def finished(self, run_id: object) -> dict[str, object]:
        """The run once it has ended: waits for the end of its log, at most so long. Between
        two attempts there is nothing to wait for but the next look."""
        limit = time.monotonic() + PATIENCE
        while True:
            with self.request("GET", f"/api/runs/{run_id}/log?follow=1", stream=True) as stream:
                for line in stream.iter_lines():
                    assert time.monotonic() < limit, f"it does not end: {self.run(run_id)}"
                    if line == b"event: end":
                        break
            run = self.run(run_id)
            if run["state"] not in ("queued", "starting", "running"):
                return run
            time.sleep(0.05)


PASSWORD = "three plain words"


def set_password(url: str, link: str, password: str = PASSWORD) -> str:
    """Use a one-time link to set a password, as its page does: the user token of its person."""
    token = parse_qs(urlsplit(link).query)["link"][0]
    form = {"link": token, "password": password, "again": password}
    with requests.Session() as browser:
        headers = {"Origin": url}
        answer = browser.post(
            f"{url}/dash/sign-in", data=form, headers=headers, allow_redirects=False, timeout=60
        )
        assert answer.status_code == 303, answer.text
        return str(browser.get(f"{url}/api/user/token", timeout=60).json()["token"])


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


def _maker(home: Path, cache: Path, opened: Path | None = None) -> Iterator[MakeServer]:
    made: list[LiveServer] = []

    def make(name: str = "data", **settings: str) -> LiveServer:
        data = home / name
        data.mkdir(exist_ok=True)
        (data / "cache").symlink_to(cache)
        folders = f"{opened}:rw" if opened else ""
        usual = {"RUNHOOK_GIT_ALLOW_FILE_URLS": "1", "RUNHOOK_RUNS_FOLDERS": folders}
        settings = {**usual, **settings}
        server = LiveServer(data, clean_environment(home, **settings))
        made.append(server)
        return server

    with contextlib.ExitStack() as ends:
        yield make
        for server in made:
            ends.callback(server.end_everything)
            ends.callback(server.stop)


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
