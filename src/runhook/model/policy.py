"""Rules of a job for its runs: how many beside each other, trying again, and what is kept."""

import hashlib
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from runhook.model.quantity import Delay, Duration, Size, delay_seconds


class Overlap(StrEnum):
    """What a start does while other runs of the job are active, whatever triggered it.

    allow: runs stand side by side, as many as `max_running`; queue: one after another; skip: it is
    not run; replace: the active ones are cancelled, and it runs once they are gone.
    """

    ALLOW = "allow"
    QUEUE = "queue"
    SKIP = "skip"
    REPLACE = "replace"


CONCURRENCY = {"Allow": Overlap.ALLOW, "Forbid": Overlap.SKIP, "Replace": Overlap.REPLACE}
"""The compatible contract's words for it."""

LONGEST_DELAY = 86_400.0
JITTER = 0.1


class Retry(BaseModel):
    """When an attempt is followed by another one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(default=0, ge=0, le=100, description="Attempts after the first.")
    delay: Delay = Field(default=0, description="Before the first of them.")
    backoff: float = Field(
        default=2.0, ge=1, le=10, description="Each further delay is so many times longer."
    )
    on: list[Literal["failed", "timed_out", "lost"]] = Field(
        default=["failed", "lost"], min_length=1, description="Outcomes that are tried again."
    )

    def delay_after(self, attempt_number: int, run_id: str) -> timedelta:
        """How long to wait after this attempt (counted from 1): exponential, at most a day, with
        a jitter of up to ten percent that is the same whenever it is asked for."""
        wait = min(LONGEST_DELAY, delay_seconds(self.delay) * self.backoff ** (attempt_number - 1))
        return timedelta(seconds=wait * (1 + JITTER * stable_fraction(run_id, attempt_number)))


def stable_fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone: the same after every restart."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class Retention(BaseModel):
    """How long ended runs are kept; whichever bound is reached first. A pinned run stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    age: Duration | None = Field(default=None, description="Since the end, such as 30d.")
    runs: int | None = Field(default=None, ge=1, description="The newest so many ended runs.")
    size: Size | None = Field(default=None, description="Logs and artifacts of the job in all.")
