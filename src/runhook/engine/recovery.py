"""What a server finds when it starts: the runs that an earlier one left behind.

It only looks and tells. The loops do the rest, as they would at any other time: what lives is
watched, what ended is settled, what was never handed out is handed out.
"""

from collections import Counter
from dataclasses import dataclass

from runhook.executors.base import Executor, Phase
from runhook.model.run import RunState
from runhook.services.site import Site
from runhook.store import attempts, runs
from runhook.store.database import Database


@dataclass(frozen=True)
class Found:
    """How many runs are alive, ended while no server ran, are gone without a result, were claimed
    but perhaps never started, and wait in the queue."""

    alive: int = 0
    ended: int = 0
    gone: int = 0
    unhandled: int = 0
    queued: int = 0

    @property
    def sentence(self) -> str:
        """`Found 2 runs that go on and 5 in the queue.`, or nothing."""
        parts = [
            f"{count} {words}"
            for count, words in (
                (self.alive, "that went on meanwhile"),
                (self.ended, "that ended meanwhile"),
                (self.gone, "whose process is gone"),
                (self.unhandled, "to be handed out again"),
                (self.queued, "in the queue"),
            )
            if count
        ]
        return f"Found unfinished runs: {', '.join(parts)}" if parts else ""


async def look_around(database: Database, executor: Executor, site: Site) -> Found:
    """Look at every unfinished attempt, and at the queue. Changes nothing."""
    living = [attempt for attempt, _ in await database.read(attempts.unfinished_attempts)]
    queued = await database.read(lambda tx: runs.count_runs(tx, RunState.QUEUED))
    handled = [attempt for attempt in living if attempt.handle]
    statuses = await executor.poll([attempt.handle or {} for attempt in handled])
    kinds = Counter(
        "ended"
        if (site.directory(attempt.id) / "result.json").exists()
        else "alive"
        if status.phase in (Phase.PENDING, Phase.RUNNING)
        else "gone"
        for attempt, status in zip(handled, statuses, strict=True)
    )
    return Found(kinds["alive"], kinds["ended"], kinds["gone"], len(living) - len(handled), queued)
