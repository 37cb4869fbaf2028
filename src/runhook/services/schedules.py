"""Looking at a job's schedules, and running them as of dates that have passed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile

from runhook.errors import Invalid
from runhook.model.access import Caller
from runhook.model.job import Job
from runhook.model.run import Run, Trigger
from runhook.model.schedule import EPOCH, LAST_YEAR, MISSED_AFTER, ChangeDay, change_days
from runhook.services import jobs as job_service
from runhook.services import runs as run_service
from runhook.store import jobs
from runhook.store.database import Transaction
from runhook.store.jobs import ArmedSchedule

FIRES = 5
MOST_AT_ONCE = 1000


@dataclass(frozen=True)
class SchedulePreview:
    """A schedule, its next fires, and what it does when its zone's clocks change next."""

    armed: ArmedSchedule
    fires: list[datetime]
    changes: list[ChangeDay]
    late: bool


def is_late(armed: ArmedSchedule, now: datetime) -> bool:
    """Is it enabled, and should it have fired more than a minute ago?"""
    return not armed.paused and armed.due_at is not None and now - armed.due_at > MISSED_AFTER


def preview(armed: ArmedSchedule, now: datetime, fires: int = FIRES) -> SchedulePreview:
    """What a schedule that the caller was found to see is going to do."""
    coming = [] if armed.paused else list(islice(armed.rule.fires(now), fires))
    return SchedulePreview(armed, coming, change_days(armed.rule, now), is_late(armed, now))


def previews(tx: Transaction, caller: Caller, job_id: str, now: datetime) -> list[SchedulePreview]:
    """All schedules of a job, in the order of its definition."""
    job = job_service.get(tx, caller, job_id)
    return [preview(armed, now) for armed in jobs.list_schedules(tx, job.id)]


def backfill(
    tx: Transaction,
    caller: Caller,
    job_id: str,
    position: int,
    begin: datetime,
    end: datetime,
    now: datetime,
) -> list[Run]:
    """A run for every fire of the job's schedule number `position` (from 0) between two instants,
    `begin` included, `end` not: new, or the one that ran then. Repeating it makes nothing twice.

    Invalid if there is no such schedule, an instant is beyond every calendar, or there are more
    than a thousand fires.
    """
    job = job_service.get(tx, caller, job_id, "jobs:start")
    armed = _schedule(tx, job, position)
    _require_in_calendar(begin, end)
    fires = takewhile(lambda fire: fire < end, armed.rule.fires_from(begin))
    found = list(islice(fires, MOST_AT_ONCE + 1))
    if len(found) > MOST_AT_ONCE:
        raise Invalid(
            f"cannot make more than {MOST_AT_ONCE} runs at once",
            details={"until": f"the schedule fires more than {MOST_AT_ONCE} times: take it nearer"},
        )
    return [_start(tx, caller, job, armed, fire, now) for fire in found]


def _require_in_calendar(begin: datetime, end: datetime) -> None:
    sentence = f"write an instant from {EPOCH.year} to {LAST_YEAR - 1}"
    given = {"from": begin, "until": end}
    details = {n: sentence for n, at in given.items() if not EPOCH.year <= at.year < LAST_YEAR}
    if details:
        raise Invalid("cannot run a schedule as of then", details=details)


def _schedule(tx: Transaction, job: Job, position: int) -> ArmedSchedule:
    armed: Sequence[ArmedSchedule] = jobs.list_schedules(tx, job.id)
    if not 0 <= position < len(armed):
        raise Invalid(
            "cannot run a schedule that is not there",
            details={"schedule": f"the job has {len(armed)}; count from 0"},
        )
    return armed[position]


def _start(
    tx: Transaction, caller: Caller, job: Job, armed: ArmedSchedule, fire: datetime, now: datetime
) -> Run:
    request = run_service.StartRequest(
        Trigger.BACKFILL,
        armed.rule.parameters or {},
        schedule_id=armed.id,
        scheduled_for=fire,
        overlap=armed.rule.overlap,
    )
    return run_service.start(tx, caller, job.id, request, now)
