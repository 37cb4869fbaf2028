"""Firing schedules: each due fire becomes one run, at most once, whoever asks.

Every schedule is fired in a transaction of its own, so that one which cannot be fired holds up no
other. A fire that fails stays due: it is tried again, and no error disables a schedule.
"""

import asyncio
import logging
from datetime import datetime, timedelta

from runhook.errors import RunhookError
from runhook.model.access import Caller
from runhook.model.run import Trigger
from runhook.model.schedule import MISSED_AFTER
from runhook.services import runs as run_service
from runhook.store import jobs
from runhook.store.database import Database, Transaction
from runhook.store.jobs import ArmedSchedule

logger = logging.getLogger("runhook.engine")
BATCH = 500
LONGEST_WAIT = 60.0
PAUSE = 1.0
RETRY = timedelta(seconds=PAUSE)


class Scheduler:
    """Waits until the earliest next fire, or until a schedule changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wait = LONGEST_WAIT
        self._failed: dict[str, datetime] = {}

    async def tick(self, now: datetime) -> bool:
        """Start a run for every fire that is due."""
        await self._mind_the_clock(now)
        limit = BATCH + len(self._failed)
        due = await self._database.read(lambda tx: jobs.due_schedules(tx, now, limit))
        ready = [schedule_id for schedule_id in due if self._may_try(schedule_id, now)]
        fired = await asyncio.gather(*(self._fire(schedule_id, now) for schedule_id in ready))
        if any(fired):
            return True
        next_due = await self._database.read(jobs.next_due)
        seconds = (next_due - now).total_seconds() if next_due else LONGEST_WAIT
        self._wait = min(LONGEST_WAIT, max(PAUSE if due else 0.0, seconds))
        return False

    def wait(self) -> float:
        """Seconds until the next fire, as far as known; a moved clock costs at most a minute."""
        return self._wait

    async def _fire(self, schedule_id: str, now: datetime) -> bool:
        """Was something done? An error is logged; the schedule stays due."""
        try:
            done = await self._database.write(lambda tx: fire(tx, schedule_id, now))
        except Exception:
            logger.exception("schedule %s could not be fired and will be tried again", schedule_id)
            self._failed[schedule_id] = now
            return False
        self._failed.pop(schedule_id, None)
        return done

    def _may_try(self, schedule_id: str, now: datetime) -> bool:
        failed_at = self._failed.get(schedule_id)
        return failed_at is None or abs(now - failed_at) >= RETRY

    async def _mind_the_clock(self, now: datetime) -> None:
        """What fired at an instant that has not come fired before the clock was set back: its next
        fire is found anew. None runs twice, since a fire is unique."""
        ahead = await self._database.read(lambda tx: jobs.schedules_ahead(tx, now))
        await asyncio.gather(*(self._arm_anew(schedule_id, now) for schedule_id in ahead))

    async def _arm_anew(self, schedule_id: str, now: datetime) -> None:
        await self._database.write(lambda tx: _arm_anew(tx, schedule_id, now))


def fire(tx: Transaction, schedule_id: str, now: datetime) -> bool:
    """Start the runs of a schedule that is due, and note its next fire. False if it is not due (any
    more). Its jitter moves it as a whole: it lives that much behind the clock."""
    armed = jobs.lock_schedule(tx, schedule_id)
    if armed is None or armed.paused or armed.due_at is None or armed.due_at > now:
        return False
    assert armed.next_fire_at, "what is due has a next fire"
    reached = now - armed.rule.delay(armed.id)
    fires = armed.rule.due(armed.next_fire_at, reached)
    if reached - armed.next_fire_at >= MISSED_AFTER:
        kept = f"{len(fires)} of the missed fires are run" if fires else "none is run"
        logger.warning(
            "schedule %s is late by %s: %s", armed.id, reached - armed.next_fire_at, kept
        )
    for at in fires:
        _start(tx, armed, at, now)
    following = armed.rule.next_fire(max(reached, armed.next_fire_at))
    jobs.set_next_fire(tx, armed, following, fired_at=now)
    return True


def _arm_anew(tx: Transaction, schedule_id: str, now: datetime) -> None:
    armed = jobs.lock_schedule(tx, schedule_id)
    if armed:
        reached = now - armed.rule.delay(armed.id)
        jobs.set_next_fire(tx, armed, armed.rule.next_fire(reached), fired_at=now)


def _start(tx: Transaction, armed: ArmedSchedule, fire_at: datetime, now: datetime) -> None:
    job = jobs.get_job(tx, armed.job_id)
    if job is None:
        return
    caller = Caller(job.created_by or "", "schedule", job.owner, via="schedule")
    request = run_service.StartRequest(
        Trigger.SCHEDULE,
        armed.rule.parameters or {},
        schedule_id=armed.id,
        scheduled_for=fire_at,
        overlap=armed.rule.overlap,
    )
    try:
        run_service.start(tx, caller, job.id, request, now)
    except RunhookError as error:
        logger.warning("schedule %s of %s could not start a run: %s", armed.id, job.name, error)


class Watchdog:
    """Says which enabled schedules are late: they fire by themselves, and should have."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: frozenset[str] = frozenset()

    async def tick(self, now: datetime) -> bool:
        """Log each schedule once while it is late."""
        limit = now - MISSED_AFTER - timedelta(seconds=PAUSE)
        late = await self._database.read(lambda tx: jobs.due_schedules(tx, limit, BATCH))
        for schedule_id in frozenset(late) - self._told:
            logger.error("schedule %s is enabled and late", schedule_id)
        self._told = frozenset(late)
        return False
