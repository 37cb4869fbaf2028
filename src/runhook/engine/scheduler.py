"""Firing schedules: each due fire becomes one run, at most once, whoever asks."""

import logging
from datetime import datetime

from runhook.errors import RunhookError
from runhook.model.access import Caller
from runhook.model.run import Trigger
from runhook.services import runs as run_service
from runhook.store import jobs
from runhook.store.database import Database, Transaction
from runhook.store.jobs import ArmedSchedule
from runhook.store.runs import find_by_fire

logger = logging.getLogger("runhook.engine")
BATCH = 200
LONGEST_WAIT = 60.0


class Scheduler:
    """Waits until the earliest next fire, or until a schedule changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next: datetime | None = None
        self._now: datetime | None = None

    async def tick(self, now: datetime) -> bool:
        """Start a run for every fire that is due."""
        fired = await self._database.write(lambda tx: self._fire(tx, now))
        self._next = await self._database.read(jobs.next_due)
        self._now = now
        return fired > 0

    def wait(self) -> float:
        """Seconds until the next fire, as far as known; a moved clock costs at most a minute."""
        if self._next is None or self._now is None:
            return LONGEST_WAIT
        return min(LONGEST_WAIT, max(0.0, (self._next - self._now).total_seconds()))

    def _fire(self, tx: Transaction, now: datetime) -> int:
        due = jobs.due_schedules(tx, now, BATCH)
        for armed in due:
            assert armed.next_fire_at, "what is due has a next fire"
            reached = now - armed.rule.delay(armed.id)
            for fire_at in armed.rule.due(armed.next_fire_at, reached):
                if find_by_fire(tx, armed.id, fire_at) is None:
                    self._start(tx, armed, fire_at, now)
            after = max(reached, armed.next_fire_at)
            jobs.set_next_fire(tx, armed, armed.rule.next_fire(after), fired_at=now)
        return len(due)

    def _start(
        self, tx: Transaction, armed: ArmedSchedule, fire_at: datetime, now: datetime
    ) -> None:
        job = jobs.get_job(tx, armed.job_id)
        if job is None:
            return
        caller = Caller(job.created_by or "", "schedule", job.owner)
        request = run_service.StartRequest(
            Trigger.SCHEDULE, schedule_id=armed.id, scheduled_for=fire_at
        )
        try:
            run_service.start(tx, caller, job.id, request, now)
        except RunhookError as error:
            logger.warning("schedule %s of %s could not start a run: %s", armed.id, job.name, error)
