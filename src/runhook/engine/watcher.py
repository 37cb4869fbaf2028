"""Watching living attempts: their news, their end, and the wish to cancel them.

An attempt is looked at when its runner sends a hint, when the executor says that it ended, and
now and then anyway: the hints are for speed, the looking is the truth. Whatever goes wrong with one
attempt concerns that one alone: it is logged, and looked at again with the next sweep.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from datetime import datetime, timedelta

from runhook.bus import Bus
from runhook.engine.settle import settle
from runhook.engine.sighting import Sighting, look
from runhook.errors import Unavailable
from runhook.executors.base import Executor, Phase
from runhook.model.run import Attempt, Run
from runhook.runner.mending import mend_notebook
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
    """Owns a small task per living attempt that waits for its end, and one per attempt that is
    being put away."""

    def __init__(self, database: Database, bus: Bus, executor: Executor, site: Site) -> None:
        self._database = database
        self._bus = bus
        self._executor = executor
        self._site = site
        self._news: set[str] = set()
        self._waiting: dict[str, asyncio.Task[None]] = {}
        self._tidying: dict[str, asyncio.Task[object]] = {}
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
        wanted = [attempt for attempt, _ in living if attempt.id in news - self._tidying.keys()]
        await self._look_at(wanted, now)
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
            self._misses.pop(attempt_id, None)
        for attempt_id in handled.keys() - self._waiting.keys():
            self._waiting[attempt_id] = asyncio.create_task(
                self._wait_for(attempt_id, handled[attempt_id] or {})
            )

    async def _wait_for(self, attempt_id: str, handle: dict[str, object]) -> None:
        try:
            await self._executor.ended(handle)
        except Exception:  # sweeps will see its end
            logger.exception("cannot wait for the end of attempt %s", attempt_id)
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
        for attempt, seen in sightings:
            lost = self._lost(attempt.id, gone, seen)
            if lost:
                self._tidy(attempt, self._bury(attempt, seen, lost, now))
        await asyncio.gather(
            *(
                self._settle(attempt, seen, now)
                for attempt, seen in sightings
                if seen.news and attempt.id not in self._tidying
            )
        )

    def _read(self, wanted: list[Attempt]) -> list[tuple[Attempt, Sighting]]:
        found = []
        for attempt in wanted:
            try:
                seen = look(self._site.directory(attempt.id), attempt.events_read)
            except Exception:  # says nothing about the attempt: the next sweep looks again
                logger.exception("cannot look at attempt %s", attempt.id)
            else:
                found.append((attempt, seen))
        return found

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
        self, attempt: Attempt, seen: Sighting, now: datetime, lost: str | None = None
    ) -> None:
        """Each attempt in a transaction of its own, so that none can spoil another's."""
        try:
            ended = await self._database.write(
                lambda tx: settle(tx, attempt, seen, now=now, lost=lost)
            )
        except Unavailable as error:
            logger.warning("the news of attempt %s wait: %s", attempt.id, error.message)
        except Exception:
            logger.exception("cannot write down the news of attempt %s", attempt.id)
        else:
            if ended and not lost:
                self._tidy(attempt, self._clean(attempt))

    async def _bury(self, attempt: Attempt, seen: Sighting, lost: str, now: datetime) -> None:
        """What a lost attempt left running ends before anything can be started in its place."""
        left = await self._clean(attempt)
        reason = f"{lost}; {left}" if left else lost
        await asyncio.to_thread(mend_notebook, self._site.directory(attempt.id), reason)
        await self._settle(attempt, seen, now, reason)

    async def _clean(self, attempt: Attempt) -> str:
        directory = str(self._site.directory(attempt.id))
        return await self._executor.clean(directory, attempt.handle or {})

    def _tidy(self, attempt: Attempt, work: Coroutine[None, None, object]) -> None:
        """Beside the ticks: a large workspace takes its time."""
        if attempt.handle is None:
            work.close()
            return
        task = asyncio.create_task(work)
        self._tidying[attempt.id] = task
        task.add_done_callback(lambda done: self._tidied(attempt.id, done))

    def _tidied(self, attempt_id: str, done: asyncio.Task[object]) -> None:
        self._tidying.pop(attempt_id, None)
        if not done.cancelled() and done.exception():
            logger.error("cannot put attempt %s away", attempt_id, exc_info=done.exception())

    async def _stop_unwanted(self, living: list[tuple[Attempt, Run]]) -> None:
        grace = timedelta(seconds=self._site.grace)
        for attempt, run in living:
            if run.cancel_requested_at and attempt.handle and attempt.id not in self._stopping:
                try:
                    await self._executor.stop(attempt.handle, grace)
                except Exception:  # the next tick asks again
                    logger.exception("cannot stop attempt %s", attempt.id)
                else:
                    self._stopping.add(attempt.id)

    async def rest(self) -> None:
        """Return when nothing is being put away."""
        while self._tidying:
            await asyncio.wait(list(self._tidying.values()))
            await asyncio.sleep(0)

    def close(self) -> None:
        """Stop waiting; the attempts go on."""
        for task in (*self._waiting.values(), *self._tidying.values()):
            task.cancel()
