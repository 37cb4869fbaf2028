"""The seam between the engine and a place where attempts run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from runhook.runner.spec import RunSpec, Secrets

Handle = Mapping[str, Any]
"""What an executor needs to find an attempt again: a small JSON object, opaque to everyone else."""


class Phase(StrEnum):
    """Where the work is. `gone` is a fact, not an error: there is no such thing (any more)."""

    PENDING = "pending"
    RUNNING = "running"
    EXITED = "exited"
    GONE = "gone"


@dataclass(frozen=True)
class Health:
    """Can the executor be used now? If not, `reason` is a sentence that says why."""

    usable: bool
    reason: str = ""


@dataclass(frozen=True)
class Status:
    """What a look at one handle saw; `reason` in words where the executor knows one."""

    phase: Phase
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""


class Executor(Protocol):
    """A place where attempts run. Every method may be called again after a crash.

    The remote thing is named after `spec.attempt_id` and looked for first, so starting twice starts
    once. How an attempt *ended* is told by the result in its directory; `poll` tells only whether
    it still lives.
    """

    name: str
    isolation: str
    """What keeps runs apart here, in words, for the run page."""

    async def check(self) -> Health:
        """Usable now?"""

    async def start(self, spec: RunSpec, secrets: Secrets) -> Handle:
        """Have the attempt run; returns when the place has accepted it."""

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Status]:
        """One status for each handle, in one round trip for all. Changes nothing."""

    async def ended(self, handle: Handle) -> None:
        """Return when the attempt has ended, or after a while: a hint to poll."""

    async def stop(self, handle: Handle, grace: timedelta) -> None:
        """Ask for the end: INT, after `grace` TERM, after `grace` KILL. No error if gone."""

    async def clean(self, spec_directory: str, handle: Handle) -> str:
        """Forget the attempt and remove what only its work needed; a sentence about what could not
        be ended, empty if nothing is left. Safe to repeat."""

    async def close(self) -> None:
        """The server stops; attempts go on."""
