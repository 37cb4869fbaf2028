"""One step of an attempt, in this process or (`python -m tests.runner.steps`) in another."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from runhook.runner.checkout import check_out
from runhook.runner.environment import Prepared, prepare
from runhook.runner.process import Control
from runhook.runner.report import Reporter
from runhook.runner.spec import EnvironmentRequest, Places, RepositorySpec, RunSpec, Secrets


@dataclass
class Attempt:
    """An attempt in a directory of its own, with a cache that it shares with others."""

    spec: RunSpec
    secrets: Secrets = field(default_factory=Secrets)

    @property
    def directory(self) -> Path:
        return Path(self.spec.directory)

    @property
    def workspace(self) -> Path:
        return self.directory / "workspace"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def reports(self, kind: str) -> list[dict[str, Any]]:
        """The data of the reports of one kind."""
        path = self.directory / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [each["data"] for each in map(json.loads, lines) if each["kind"] == kind]

    def check_out(self) -> list[dict[str, Any]]:
        """The checkout step in this process."""
        with self.running() as (reporter, control):
            return check_out(self.spec, self.secrets, reporter, control, self.workspace)

    def prepare(self) -> Prepared:
        """The environment step in this process."""
        with self.running() as (reporter, control):
            return prepare(self.spec, reporter, control, self.workspace)

    def start(self, step: str) -> subprocess.Popen[bytes]:
        """The step in a process of its own, which exits with 1 and a sentence if it fails."""
        self.spec.save()
        words = [sys.executable, "-m", "tests.runner.steps", step, str(self.directory)]
        with tempfile.TemporaryFile() as secrets:
            secrets.write(json.dumps(asdict(self.secrets)).encode())
            secrets.seek(0)
            return subprocess.Popen(words, stdin=secrets, stderr=subprocess.PIPE)

    @contextmanager
    def running(self) -> Iterator[tuple[Reporter, Control]]:
        """What a step is given; afterwards this process handles signals as before."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = [signal.getsignal(number) for number in numbers]
        try:
            yield Reporter(self.directory, None), Control(grace=1.0)
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def stop_once_it_hears(process: subprocess.Popen[bytes]) -> bytes:
    """Ask the process to stop, as soon as it handles such requests; what it wrote to stderr."""
    caught = 0
    while not caught >> (signal.SIGTERM - 1) & 1:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=10)[1]


@dataclass
class Attempts:
    """Makes attempts that share the cache `root`/cache, each requested when it is made."""

    root: Path
    places: Places
    count: int = 0

    def new(
        self,
        *repositories: RepositorySpec,
        secrets: Secrets | None = None,
        environment: EnvironmentRequest | None = None,
        **places: Any,
    ) -> Attempt:
        self.count += 1
        spec = RunSpec(
            attempt_id=f"{self.count:032x}",
            run_id="0" * 32,
            job_id="1" * 32,
            job_name="example",
            directory=str(self.root / "attempts" / str(self.count)),
            requested_at=time.time(),
            trigger="api",
            places=replace(self.places, **places),
            repositories=list(repositories),
            environment=environment or EnvironmentRequest(),
            command="true",
        )
        Path(spec.directory, "workspace").mkdir(parents=True)
        return Attempt(spec, secrets or Secrets())


if __name__ == "__main__":
    values = json.load(sys.stdin)
    attempt = Attempt(RunSpec.load(Path(sys.argv[2])), Secrets.from_json(values))
    try:
        attempt.check_out() if sys.argv[1] == "checkout" else attempt.prepare()
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
