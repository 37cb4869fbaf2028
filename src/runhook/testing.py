"""Public fakes for tests of whatever is built around Runhook: an executor without processes."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from runhook.executors.base import Handle, Health, Phase, Status
from runhook.runner.spec import Outcome, Report, Result, RunSpec, Secrets, append_report


class FakeExecutor:
    """Accepts attempts and does nothing; a test says what happens to each.

    It keeps the promises of `Executor`: starting twice starts once, stopping what is gone is no
    error, and polling changes nothing.
    """

    name = "fake"
    isolation = "none: nothing is executed"

    def __init__(self) -> None:
        self.specs: dict[str, RunSpec] = {}
        self.secrets: dict[str, Secrets] = {}
        self.phases: dict[str, Phase] = {}
        self.stopped: list[str] = []
        self.cleaned: list[str] = []
        self.starts = 0
        self.refuse = ""
        self._ends: dict[str, asyncio.Event] = {}

    async def check(self) -> Health:
        return Health(not self.refuse, self.refuse)

    async def start(self, spec: RunSpec, secrets: Secrets) -> Handle:
        if self.refuse:
            raise RuntimeError(self.refuse)
        if spec.attempt_id not in self.specs:
            self.starts += 1
            self.specs[spec.attempt_id] = spec
            self.secrets[spec.attempt_id] = secrets
            self.phases[spec.attempt_id] = Phase.RUNNING
        return {"attempt": spec.attempt_id}

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Status]:
        return [Status(self.phases.get(handle["attempt"], Phase.GONE)) for handle in handles]

    async def ended(self, handle: Handle) -> None:
        await self._end(handle["attempt"]).wait()

    async def stop(self, handle: Handle, grace: timedelta) -> None:
        self.stopped.append(handle["attempt"])

    async def clean(self, spec_directory: str, handle: Handle) -> str:
        self.cleaned.append(handle["attempt"])
        return ""

    async def close(self) -> None:
        return

    def report(self, attempt_id: str, kind: str, at: float, **data: object) -> None:
        """The runner of this attempt reports something."""
        append_report(Path(self.specs[attempt_id].directory), Report(at, kind, data))

    def finish(
        self, attempt_id: str, outcome: Outcome, at: float, exit_code: int | None = None
    ) -> None:
        """The attempt ends with a result."""
        Result(outcome, at, exit_code).save(Path(self.specs[attempt_id].directory))
        self.vanish(attempt_id)

    def vanish(self, attempt_id: str) -> None:
        """The attempt is gone, with a result or without."""
        self.phases[attempt_id] = Phase.GONE
        self._end(attempt_id).set()

    def _end(self, attempt_id: str) -> asyncio.Event:
        return self._ends.setdefault(attempt_id, asyncio.Event())
