"""A job that starts warm, with a runner parent and a keeper of its own."""

import asyncio
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from runhook.executors.local import LocalExecutor
from runhook.places import run_directory
from runhook.runner.spec import IsolationSpec, RepositorySpec, Result, RunSpec, Secrets, WarmSpec
from runhook.runner.warm import keeper
from tests.executors.conftest import Bench, level
from tests.runner.notebooks import write

PATIENCE = 60.0


@dataclass
class Ended:
    """An attempt that is over."""

    spec: RunSpec
    result: Result

    @property
    def log(self) -> str:
        return (Path(self.spec.directory) / "log").read_text()

    @property
    def told(self) -> Any:
        """What the last line of the log says, as JSON."""
        assert self.result.outcome == "succeeded", (self.result, self.log)
        return json.loads(self.log.splitlines()[-1])

    @property
    def note(self) -> str:
        """How the kernel was started, as the waterfall shows it."""
        lines = (Path(self.spec.directory) / "events.jsonl").read_text().splitlines()
        steps = [each for each in map(json.loads, lines) if each["kind"] == "step_finished"]
        (note,) = [each["data"]["note"] for each in steps if each["data"]["step"] == "notebook"]
        return str(note)


@dataclass
class WarmJob:
    """Runs notebooks of one job, one after another."""

    root: Path
    cache: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sockets = run_directory(self.root)
        self.address = str(self.sockets / "warm.sock")
        attempts = self.root / "attempts"
        self.bounds = WarmSpec(self.address, str(attempts), **self.settings)
        self.repository = self.root / "remote" / "nb"
        self.repository.mkdir(parents=True)
        self._git("init", "-q")

    def _git(self, *words: str) -> None:
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run([*git, *words], cwd=self.repository, check=True)

    def spec(self, *cells: str, **more: Any) -> RunSpec:
        write(self.repository / "a.ipynb", *cells)
        self._git("add", ".")
        self._git("commit", "-q", "--allow-empty", "-m", "x")
        isolation = IsolationSpec(level(), [str(self.root), str(self.cache)])
        given = {"warm": self.bounds, "isolation": isolation, **more}
        bench = Bench(LocalExecutor(self.sockets), self.root / "attempts", self.cache, isolation)
        repository = RepositorySpec(self.repository.as_uri(), "nb")
        return bench.spec(notebook="nb/a.ipynb", repositories=[repository], **given)

    def run(
        self,
        *cells: str,
        secrets: Secrets | None = None,
        meanwhile: Callable[[RunSpec, int], None] | None = None,
        **more: Any,
    ) -> Ended:
        """Run a notebook to its end. `meanwhile` gets the pid of the runner while it runs."""
        spec = self.spec(*cells, **more)

        async def work() -> None:
            executor = LocalExecutor(self.sockets)
            spec.save()
            handle = await executor.start(spec, secrets or Secrets())
            if meanwhile:
                await asyncio.to_thread(meanwhile, spec, handle["pid"])
            await executor.ended(handle)
            await executor.clean(spec.directory, handle)
            await executor.close()

        asyncio.run(work())
        result = Result.load(Path(spec.directory))
        return Ended(spec, result or Result("failed", time.time(), reason="no result"))

    def told(self) -> list[dict[str, Any]]:
        """What the keeper says about its parents; nothing if there is no keeper."""
        return keeper.told(self.address)

    def until(self, true: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Wait for what the keeper says to become so."""
        limit = time.monotonic() + PATIENCE
        while not true(told := self.told()):
            assert time.monotonic() < limit, told
            time.sleep(0.02)
        return told

    def ready(self) -> dict[str, Any]:
        """Wait until a kernel waits for the next run."""
        return self.until(lambda told: bool(told) and all(each["spare"] for each in told))[0]

    def warm(self, *cells: str, **more: Any) -> Ended:
        """Run a notebook on a kernel that waits for it."""
        self.ready()
        ended = self.run(*cells, **more)
        assert ended.note == "warm", (ended.note, ended.result)
        return ended

    def close(self) -> None:
        async def leave() -> None:
            executor = LocalExecutor(self.sockets)
            await executor._ask({"op": "leave"})
            await executor.close()

        asyncio.run(leave())
        self.until(lambda told: not told)

    def processes(self) -> list[psutil.Process]:
        """What lives of this job and its server."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(str(self.root)):
                    found.append(process)
            except psutil.Error:
                continue
        return found


def output_of(spec: RunSpec, words: str) -> None:
    """Wait until the log holds the words."""
    limit = time.monotonic() + PATIENCE
    log = Path(spec.directory) / "log"
    while not (log.exists() and words in log.read_text()):
        assert time.monotonic() < limit, f"{words} never came"
        time.sleep(0.01)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def mark() -> str:
    """Something to find a process by."""
    return f"600.{uuid.uuid4().int % 10**9:09}"
