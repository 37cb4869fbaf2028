"""Looking across jobs: what fires when, how many ran at a time, and how the server is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from runhook.model.access import Caller
from runhook.model.run import Run
from runhook.services import runs
from runhook.services.access import require_admin, visible_owners
from runhook.services.schedules import is_late
from runhook.store import overview
from runhook.store.database import Transaction
from runhook.store.jobs import ArmedSchedule
from runhook.store.overview import JobName

DAY, SLOT = timedelta(hours=24), timedelta(minutes=15)
MOST_SCHEDULES, MOST_FIRES, MOST_RUNS = 100, 48, 5000


@dataclass(frozen=True)
class Planned:
    """A schedule, its job, and when it fires in the next 24 hours: at most 48 times are told, and
    `often` says that there are more."""

    armed: ArmedSchedule
    job: JobName
    fires: list[datetime]
    often: bool
    late: bool


@dataclass(frozen=True)
class Load:
    """How many runs waited and how many were alive at most, in each quarter of an hour from `since`
    on; not `whole`: of the newest runs only."""

    since: datetime
    waiting: list[int]
    alive: list[int]
    whole: bool


def planned(tx: Transaction, caller: Caller, now: datetime) -> list[Planned]:
    """What fires next of everything that the caller sees, the next first."""
    owners = visible_owners(caller, "jobs:read")
    return [
        _planned(armed, job, now)
        for armed, job in overview.next_schedules(tx, owners, MOST_SCHEDULES)
    ]


def _planned(armed: ArmedSchedule, job: JobName, now: datetime) -> Planned:
    end = now + DAY
    coming = takewhile(lambda fire: fire < end, armed.rule.fires(now))
    fires = [] if armed.paused else list(islice(coming, MOST_FIRES + 1))
    often = len(fires) > MOST_FIRES
    return Planned(armed, job, fires[:MOST_FIRES], often, is_late(armed, now))


def named(tx: Transaction, found: Sequence[Run]) -> dict[str, JobName]:
    """The jobs of runs that the caller was found to see."""
    return overview.job_names(tx, [run.job_id for run in found])


def load(tx: Transaction, caller: Caller, now: datetime) -> Load:
    """The last 24 hours of the runs that the caller sees."""
    owners = visible_owners(caller, "runs:read")
    since = now - DAY
    found = overview.spans(tx, owners, since, MOST_RUNS)
    waits = [(span.created_at, span.started_at or span.finished_at or now) for span in found]
    lives = [(span.started_at, span.finished_at or now) for span in found if span.started_at]
    whole = len(found) < MOST_RUNS
    return Load(since, at_a_time(waits, since), at_a_time(lives, since), whole)


def at_a_time(intervals: Sequence[tuple[datetime, datetime]], since: datetime) -> list[int]:
    """How many of the intervals overlap at most, in each slot of the day from `since` on. One that
    ends when another begins does not overlap it."""
    steps = sorted(step for begin, end in intervals for step in ((begin, 1), (end, -1)))
    most, present, place = [], 0, 0
    for slot in range(int(DAY / SLOT)):
        begin, end = since + slot * SLOT, since + (slot + 1) * SLOT
        while place < len(steps) and steps[place][0] <= begin:
            present, place = present + steps[place][1], place + 1
        highest = present
        while place < len(steps) and steps[place][0] < end:
            present, place = present + steps[place][1], place + 1
            highest = max(highest, present)
        most.append(highest)
    return most


def cancel_many(tx: Transaction, caller: Caller, run_ids: Sequence[str], now: datetime) -> None:
    """Cancel all of these, or, if one may not be cancelled, none."""
    for run_id in run_ids:
        runs.cancel(tx, caller, run_id, now)


def active(tx: Transaction, caller: Caller) -> dict[str, int]:
    """How many runs of the server wait, start and run. For its administrators."""
    require_admin(caller, "system:read")
    return overview.counts(tx)
