"""Watching living attempts: their news, their end, and the wish to cancel them.

An attempt is looked at when its runner sends a hint, when the executor says that it ended, and
now and then anyway: the hints are for speed, the looking is the truth.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from runhook.bus import Bus
from runhook.engine.settle import Sighting, look, settle
from runhook.errors import Unavailable
from runhook.executors.base import Executor, Phase
from runhook.model.run import Attempt, Run
from runhook.services.site import Site
from runhook.store import attempts
from runhook.store.database import Database

logger = logging.getLogger("runhook.engine")
SWEEP_SECONDS = 2.0
MISSES = 2
"""So many looks in a row must find an attempt gone, without a result, before it counts as lost: a
probe that errs once kills nothing."""
SECOND_LOOK_SECONDS = 0.1
LOST = "its runner ended without a result: it was killed from outside"


class Watcher:
    """Owns a small task per living attempt that waits for its end."""

    def __init__(self, database: Database, bus: Bus, executor: Executor, site: Site) -> None:
        self._database = database
        self._bus = bus
        self._executor = executor
        self._site = site
        self._news: set[str] = set()
        self._waiting: dict[str, asyncio.Task[None]] = {}
        self._stopping: set[str] = set()
        self._misses: Counter[str] = Counter()
        self._swept_at: datetime | None = None

    def tell(self, attempt_id: str) -> None:
        """There is news of this attempt."""
        self._news.add(attempt_id)
        self._bus.publish("attempts")

    async def tick(self, now: datetime) -> bool:
        """Look at what has news, or at everything when a sweep is due."""
        living = await self._database.read(attempts.unfinished_attempts)
        self._attend(living)
        news, self._news = self._news, set()
        if self._sweep_is_due(now):
            news |= {attempt.id for attempt, _ in living}
        await self._look_at([attempt for attempt, _ in living if attempt.id in news], now)
        await self._stop_unwanted(living)
        return bool(self._news)

    def _sweep_is_due(self, now: datetime) -> bool:
        """A clock that was set back makes it due, too."""
        passed = abs(now - self._swept_at).total_seconds() if self._swept_at else SWEEP_SECONDS
        due = passed >= SWEEP_SECONDS
        if due:
            self._swept_at = now
        return due

    def _attend(self, living: Iterable[tuple[Attempt, Run]]) -> None:
        """Have somebody wait for the end of each living attempt, and for no other."""
        handled = {attempt.id: attempt.handle for attempt, _ in living if attempt.handle}
        for attempt_id in self._waiting.keys() - handled.keys():
            self._waiting.pop(attempt_id).cancel()
            self._stopping.discard(attempt_id)
        for attempt_id in handled.keys() - self._waiting.keys():
            self._waiting[attempt_id] = asyncio.create_task(
                self._wait_for(attempt_id, handled[attempt_id] or {})
            )

    async def _wait_for(self, attempt_id: str, handle: dict[str, object]) -> None:
        await self._executor.ended(handle)
        self.tell(attempt_id)

    async def _look_at(self, wanted: list[Attempt], now: datetime) -> None:
        if not wanted:
            return
        handled = [attempt for attempt in wanted if attempt.handle]
        statuses = await self._executor.poll([attempt.handle or {} for attempt in handled])
        gone = {
            attempt.id: status.reason or LOST
            for attempt, status in zip(handled, statuses, strict=True)
            if status.phase in (Phase.EXITED, Phase.GONE)
        }
        sightings = await asyncio.to_thread(self._read, wanted)  # after the poll: see `settle`
        lost = {attempt.id: self._lost(attempt.id, gone, seen) for attempt, seen in sightings}
        await asyncio.gather(
            *(
                self._settle(attempt, seen, lost[attempt.id], now)
                for attempt, seen in sightings
                if seen.news or lost[attempt.id]
            )
        )

    def _lost(self, attempt_id: str, gone: Mapping[str, str], seen: Sighting) -> str | None:
        """Why the attempt is lost, once that is certain."""
        if attempt_id not in gone or seen.result:
            self._misses.pop(attempt_id, None)
            return None
        self._misses[attempt_id] += 1
        if self._misses[attempt_id] >= MISSES:
            return gone[attempt_id]
        asyncio.get_running_loop().call_later(SECOND_LOOK_SECONDS, self.tell, attempt_id)
        return None

    async def _settle(
        self, attempt: Attempt, seen: Sighting, lost: str | None, now: datetime
    ) -> None:
        """Each attempt in a transaction of its own, so that none can spoil another's."""
        try:
            ended = await self._database.write(
                lambda tx: settle(tx, attempt, seen, now=now, lost=lost)
            )
        except Unavailable as error:
            logger.warning("the news of attempt %s wait: %s", attempt.id, error.message)
            return
        except Exception:
            logger.exception("cannot write down the news of attempt %s", attempt.id)
            return
        if not ended:
            return
        self._misses.pop(attempt.id, None)
        if attempt.handle:
            await self._executor.clean(str(self._site.directory(attempt.id)), attempt.handle)

    def _read(self, wanted: list[Attempt]) -> list[tuple[Attempt, Sighting]]:
        return [
            (attempt, look(self._site.directory(attempt.id), attempt.events_read))
            for attempt in wanted
        ]

    async def _stop_unwanted(self, living: list[tuple[Attempt, Run]]) -> None:
        grace = timedelta(seconds=self._site.grace)
        for attempt, run in living:
            if run.cancel_requested_at and attempt.handle and attempt.id not in self._stopping:
                self._stopping.add(attempt.id)
                await self._executor.stop(attempt.handle, grace)

    def close(self) -> None:
        """Stop waiting; the attempts go on."""
        for task in self._waiting.values():
            task.cancel()
