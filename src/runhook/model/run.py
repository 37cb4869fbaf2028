"""A run, its attempts, and the table of the ways its state may go."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from runhook.model.parameters import hidden
from runhook.model.policy import Overlap


class RunState(StrEnum):
    """queued → starting → running → one of the terminal states.

    `starting`: on its executor, preparing code and packages; `running`: the user's work executes.
    """

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    SKIPPED = "skipped"


S = RunState
TERMINAL = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.TIMED_OUT, S.LOST, S.SKIPPED})
ACTIVE = frozenset(S) - TERMINAL
_ENDINGS = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.TIMED_OUT, S.LOST})
TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    S.QUEUED: frozenset({S.STARTING, S.CANCELLED, S.FAILED, S.TIMED_OUT}),
    S.STARTING: _ENDINGS | {S.RUNNING, S.QUEUED},
    S.RUNNING: _ENDINGS | {S.QUEUED},
}
"""From → allowed next states; a terminal state has none. Back to `queued` is a retry."""


def sources_of(to: RunState) -> list[RunState]:
    """The states from which a run may become `to`."""
    return [state for state, targets in TRANSITIONS.items() if to in targets]


class Trigger(StrEnum):
    """Why a run exists."""

    API = "api"
    WEB = "web"
    CLI = "cli"
    SCHEDULE = "schedule"
    BACKFILL = "backfill"
    WEBHOOK = "webhook"
    JOB = "job"
    REPLAY = "replay"


PERSONAL = frozenset({Trigger.API, Trigger.WEB, Trigger.CLI, Trigger.BACKFILL, Trigger.REPLAY})
"""The triggers that somebody pulls; by the others a job starts by itself."""


@dataclass(frozen=True)
class Run:
    """One request to run a job, with its parameters and outcome.

    While it is queued it starts not before `not_before_at` and gives up at `queue_expires_at`.
    `caused_by` is the run whose success started it, `replay_of` the one that it repeats.
    `kept_bytes` is what its log and artifacts take; `pruned_at` says that retention has removed
    them. The values of `secret_parameters` (their names) are for the work alone: whatever tells of
    the run shows `shown_parameters`.
    """

    id: str
    job_id: str
    job_version: int
    number: int
    state: RunState
    trigger: Trigger
    started_by: str | None
    schedule_id: str | None
    scheduled_for: datetime | None
    parameters: dict[str, Any]
    idempotency_key: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    exit_code: int | None
    step: str | None
    reason: str | None
    commits: list[dict[str, Any]]
    lock_id: str | None
    overlap: Overlap
    priority: int
    pool: str | None
    not_before_at: datetime | None
    queue_expires_at: datetime | None
    caused_by: str | None
    replay_of: str | None
    pinned: bool
    kept_bytes: int | None
    pruned_at: datetime | None
    secret_parameters: list[str] | None

    @property
    def shown_parameters(self) -> dict[str, Any]:
        """The parameters without the values of secret ones."""
        return hidden(self.parameters, self.secret_parameters or ())


@dataclass(frozen=True)
class Attempt:
    """One try of a run on an executor; `finished_at` is None while it lives."""

    id: str
    run_id: str
    number: int
    executor: str
    handle: dict[str, Any] | None
    isolation: str | None
    state: RunState
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    signal: int | None
    step: str | None
    reason: str | None
    events_read: int


@dataclass(frozen=True)
class Event:
    """Something that happened to a run; `data` depends on `kind`."""

    run_id: str
    attempt_id: str | None
    at: datetime
    kind: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One bar of a run's waterfall: `start` in seconds after the run was created."""

    name: str
    start: float
    seconds: float
    note: str = ""

    @property
    def end(self) -> float:
        """Seconds after the run was created at which the bar ends."""
        return self.start + self.seconds
