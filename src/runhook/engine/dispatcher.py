"""From the queue to an executor: claim queued runs within the limits and have them started."""

import asyncio
import logging
from collections import Counter
from datetime import datetime, timedelta

from runhook.engine.plan import Plan, make_plan
from runhook.errors import Unavailable
from runhook.executors.base import Executor
from runhook.keys import Keys
from runhook.model.run import Attempt, Run, RunState
from runhook.services.outcomes import end_attempt
from runhook.services.site import Site
from runhook.store import attempts, queue, runs
from runhook.store.database import Database, Transaction

logger = logging.getLogger("runhook.engine")
MOST_TRIES = 6
LONGEST_PAUSE = timedelta(seconds=2**MOST_TRIES)
LONGEST_WAIT = 30.0
GAVE_UP = "it waited longer in the queue than the job's queue_timeout allows"


class Dispatcher:
    """Keeps as many attempts alive as `site.capacity` allows.

    What was claimed and has no handle yet, because the server was killed in between or the handing
    out failed, is handed out again: the executor looks for the attempt by its id first, so what did
    start is only found again.
    """

    def __init__(self, database: Database, executor: Executor, keys: Keys, site: Site) -> None:
        self._database = database
        self._executor = executor
        self._keys = keys
        self._site = site
        self._failures: Counter[str] = Counter()
        self._not_before: dict[str, datetime] = {}
        self._wait = LONGEST_WAIT

    async def tick(self, now: datetime) -> bool:
        """Start as many queued runs as there is room for, and end those that waited too long."""
        again = await self._unhandled(now)
        expired = await self._database.write(lambda tx: expire(tx, now))
        claimed = await self._database.write(lambda tx: self._claim(tx, now))
        await asyncio.gather(
            *(self._hand_out(run, attempt, now) for run, attempt in again + claimed)
        )
        await self._find_wait(now)
        return bool(claimed or expired)

    def wait(self) -> float:
        """Seconds until, without any hint, something may have to be done."""
        return self._wait

    async def _find_wait(self, now: datetime) -> None:
        change = await self._database.read(lambda tx: queue.next_change(tx, now))
        instants = [*self._not_before.values(), *([change] if change else [])]
        seconds = (min(instants, default=now + timedelta(days=1)) - now).total_seconds()
        self._wait = min(LONGEST_WAIT, max(0.0, seconds))

    async def _unhandled(self, now: datetime) -> list[tuple[Run, Attempt]]:
        found = await self._database.read(attempts.unhandled_attempts)
        known = {attempt.id for attempt, _ in found}
        self._not_before = {k: at for k, at in self._not_before.items() if k in known}
        return [(run, attempt) for attempt, run in found if self._may_try(attempt, now)]

    def _may_try(self, attempt: Attempt, now: datetime) -> bool:
        """Has its pause passed? (A pause that seems long is one before the clock was set back.)"""
        left = self._not_before.get(attempt.id, now) - now
        return left <= timedelta() or left > LONGEST_PAUSE

    def _claim(self, tx: Transaction, now: datetime) -> list[tuple[Run, Attempt]]:
        capacity = self._site.capacity
        room = capacity.runs - attempts.count_unfinished_attempts(tx)
        if room <= 0 or capacity.obstacle():
            return []
        return queue.claim(
            tx, room=room, pools=capacity.pools, executor=self._executor.name, now=now
        )

    async def _hand_out(self, run: Run, attempt: Attempt, now: datetime) -> None:
        """Have the attempt started. What goes wrong concerns this attempt alone."""
        try:
            plan = await self._database.read(
                lambda tx: make_plan(tx, self._keys, self._site, run, attempt)
            )
            await asyncio.to_thread(self._save, plan, attempt)
            handle = dict(await self._executor.start(plan.spec, plan.secrets))
            await self._database.write(lambda tx: self._keep(tx, attempt, handle))
        except Exception as error:  # whatever it is, the run must not stay in `starting`
            await self._failed(attempt, error, now)
        else:
            self._failures.pop(attempt.id, None)
            self._not_before.pop(attempt.id, None)

    def _keep(self, tx: Transaction, attempt: Attempt, handle: dict[str, object]) -> None:
        attempts.update_attempt(tx, attempt.id, handle=handle, isolation=self._executor.isolation)
        tx.publish("attempts")

    async def _failed(self, attempt: Attempt, error: Exception, now: datetime) -> None:
        """Try again soon: most obstacles (a busy machine, a database that restarts) pass."""
        self._failures[attempt.id] += 1
        tries = self._failures[attempt.id]
        logger.warning("cannot start attempt %s (try %d): %r", attempt.id, tries, error)
        self._not_before[attempt.id] = now + timedelta(seconds=min(2 ** (tries - 1), 2**MOST_TRIES))
        if tries < MOST_TRIES or self._is_claimed(attempt):
            return
        try:
            await self._database.write(lambda tx: self._give_up(tx, attempt, error, now))
        except Unavailable as obstacle:
            logger.warning("cannot write that attempt %s cannot start: %s", attempt.id, obstacle)
        else:
            del self._failures[attempt.id], self._not_before[attempt.id]

    def _is_claimed(self, attempt: Attempt) -> bool:
        """Does some runner have it? Then it runs, whatever handing it out again may say."""
        return (self._site.directory(attempt.id) / "runner.json").exists()

    def _save(self, plan: Plan, attempt: Attempt) -> None:
        if not self._is_claimed(attempt):
            plan.spec.save()

    def _give_up(self, tx: Transaction, attempt: Attempt, error: Exception, now: datetime) -> None:
        run = runs.lock_run(tx, attempt.run_id)
        if run is None:
            return
        reason = f"cannot start on the {attempt.executor} executor: {error}"
        if run.cancel_requested_at:
            end_attempt(tx, run, attempt, RunState.CANCELLED, now, reason=run.reason)
        else:
            end_attempt(tx, run, attempt, RunState.FAILED, now, reason=reason, step="spawn")


def expire(tx: Transaction, now: datetime) -> int:
    """End queued runs whose patience is over; how many those were."""
    over = queue.expired(tx, now)
    for run in over:
        runs.transition(
            tx, run.id, to=RunState.TIMED_OUT, now=now, only_from=RunState.QUEUED, reason=GAVE_UP
        )
    return len(over)
