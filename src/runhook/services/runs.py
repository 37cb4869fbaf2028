"""Starting, cancelling and looking at runs. Every trigger reaches `start`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from runhook.errors import Invalid, NotFound
from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.job import Job
from runhook.model.policy import Overlap
from runhook.model.run import PERSONAL, Attempt, Event, Run, RunState, Step, Trigger
from runhook.model.waterfall import waterfall
from runhook.services import audit, contracts, queue, run_secrets
from runhook.services.access import require, visible_owners
from runhook.services.capacity import Capacity
from runhook.services.jobs import JobView, for_eyes
from runhook.services.jobs import get as get_job
from runhook.services.parameters import checked_parameters
from runhook.services.queue import Waiting
from runhook.store import attempts, events, identities, jobs, locks, runs
from runhook.store.database import Transaction

LONGEST_KEY = 255


@dataclass(frozen=True)
class StartRequest:
    """What a trigger says about the run it wants.

    `scheduled_for` is the instant that the run is about (its logical time), `overlap` takes the
    place of the job's, `caused_by` is the run whose success asks for it.
    """

    trigger: Trigger
    parameters: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    schedule_id: str | None = None
    scheduled_for: datetime | None = None
    overlap: Overlap | None = None
    caused_by: str | None = None


@dataclass(frozen=True)
class RunView:
    """A run with everything an answer or a page shows of it."""

    run: Run
    job: Job
    attempts: list[Attempt]
    events: list[Event]
    started_by: str | None
    waiting: Waiting | None

    @property
    def attempt(self) -> Attempt | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None

    def waterfall(self, now: datetime) -> list[Step]:
        """Where the time went."""
        return waterfall(self.run, self.attempt, self.events, now)


@dataclass(frozen=True)
class Started:
    """The answer to a start: the job, and the run that is new or was asked for before."""

    job: JobView
    run: RunView


def started(tx: Transaction, caller: Caller, run: Run) -> Started:
    """What to tell of a run that `start` returned. It has hardly begun, so little is looked up:
    this is the path that every caller waits for."""
    job = get_job(tx, caller, run.job_id, "jobs:start")
    schedules = jobs.list_schedules(tx, job.id) if job.spec.rules else []
    waiting = [job.id] if run.state == RunState.QUEUED else None
    doing = runs.activity(tx, [job.id], waiting)[job.id]
    return Started(
        for_eyes(caller, JobView(job, schedules, [run], doing, None)),
        RunView(run, job, [], [], caller.name, None),
    )


def start(
    tx: Transaction,
    caller: Caller,
    job_id: str,
    request: StartRequest,
    now: datetime,
    keys: Keys | None = None,
) -> Run:
    """Queue a run of the job. `keys` seal the values of secret parameters; without them none can be
    given.

    With an idempotency key that was used for this job before, the run of that time is returned and
    nothing is started. Invalid if the parameters break the job's contract; if its overlap policy
    says so, the run is `skipped`, or takes the place of those that are active.
    """
    jobs.lock_job(tx, job_id)
    job = get_job(tx, caller, job_id, "jobs:start")
    key = checked_key(request.idempotency_key)
    known = _made_before(tx, job.id, key, request)
    if known:
        return known
    overlap = request.overlap or job.spec.on_overlap
    values, sealed = run_secrets.parted(
        checked_parameters(
            job.spec,
            request.parameters,
            contracts.of_job(tx, job),
            personal=request.trigger in PERSONAL,
        ),
        job.spec.contract.secrets,
    )
    new = runs.NewRun(
        job_id=job.id,
        job_version=job.version,
        trigger=request.trigger,
        started_by=caller.user_id or None,
        parameters=values,
        secret_parameters=job.spec.contract.secrets or None,
        created_at=now,
        idempotency_key=key,
        schedule_id=request.schedule_id,
        scheduled_for=request.scheduled_for,
        overlap=overlap,
        priority=job.spec.priority or 0,
        pool=job.spec.pool,
        caused_by=request.caused_by,
    )
    run = queue.admit(tx, caller, job, new)
    run_secrets.keep(tx, keys, run.id, sealed)
    record_start(tx, caller, run, job, now)
    return run


def record_start(tx: Transaction, caller: Caller, run: Run, job: Job, now: datetime) -> None:
    """Have the audit log tell of a new run."""
    skipped = run.state == RunState.SKIPPED
    action = "run.skipped" if skipped else "run.started"
    audit.record_run(tx, caller, action, run, job, now, _told(run))


def _told(run: Run) -> dict[str, Any]:
    """What the audit log says of a start."""
    facts = {
        "trigger": str(run.trigger),
        "parameters": audit.shortened(run.shown_parameters),
        "schedule": run.schedule_id,
        "scheduled_for": run.scheduled_for.isoformat() if run.scheduled_for else None,
        "caused_by": run.caused_by,
        "replay_of": run.replay_of,
        "reason": run.reason,
    }
    return {name: value for name, value in facts.items() if value}


def _made_before(
    tx: Transaction, job_id: str, key: str | None, request: StartRequest
) -> Run | None:
    """The run that this very request made before: the same key, the same fire, the same cause."""
    if key:
        return runs.find_by_key(tx, job_id, key)
    if request.schedule_id and request.scheduled_for:
        return runs.find_by_fire(tx, request.schedule_id, request.scheduled_for)
    if request.caused_by:
        return runs.find_by_cause(tx, job_id, request.caused_by)
    return None


def again(tx: Transaction, keys: Keys, caller: Caller, run_id: str, now: datetime) -> Run:
    """Start the job of a run once more, as it is defined now, with the run's logical time, and with
    its parameters as far as they are still declared, and as far as they would not show a value that
    was secret in the run."""
    before = get(tx, caller, run_id)
    job = get_job(tx, caller, before.job_id, "jobs:start")
    uncovered = set(before.secret_parameters or ()) - set(job.spec.contract.secrets)
    kept = contracts.of_job(tx, job).contract.parameters.keys() - uncovered
    given = run_secrets.opened(tx, keys, before)
    values = {name: value for name, value in given.items() if name in kept}
    request = StartRequest(Trigger.WEB, values, scheduled_for=before.scheduled_for)
    return start(tx, caller, job.id, request, now, keys)


def restart(
    tx: Transaction,
    caller: Caller,
    job_id: str,
    request: StartRequest,
    now: datetime,
    keys: Keys | None = None,
) -> Run:
    """Cancel every active run of the job and queue a new one, which begins once they are gone;
    `keys` as for `start`."""
    get_job(tx, caller, job_id, "runs:cancel")
    return start(tx, caller, job_id, replace(request, overlap=Overlap.REPLACE), now, keys)


def cancel(tx: Transaction, caller: Caller, run_id: str, now: datetime) -> Run:
    """Ask for the end of a run: a queued one is cancelled at once, a living one as soon as its
    process tree is gone. A finished run is returned unchanged."""
    run, job = get_with_job(tx, caller, run_id, "runs:cancel")
    _cancel(tx, caller, run, job, now)
    return get(tx, caller, run_id, "runs:cancel")


def _cancel(tx: Transaction, caller: Caller, run: Run, job: Job, now: datetime) -> None:
    if runs.wish_cancelled(tx, run, now, f"cancelled by {caller.name}"):
        audit.record_run(tx, caller, "run.cancelled", run, job, now)


def cancel_all(tx: Transaction, caller: Caller, job_id: str, now: datetime) -> Job:
    """Cancel every active run of the job."""
    job = get_job(tx, caller, job_id, "runs:cancel")
    for run in runs.active_runs(tx, job.id):
        _cancel(tx, caller, run, job, now)
    return job


def get(tx: Transaction, caller: Caller, run_id: str, action: str = "runs:read") -> Run:
    """The run, if the caller may do `action` on it."""
    return get_with_job(tx, caller, run_id, action)[0]


def get_with_job(tx: Transaction, caller: Caller, run_id: str, action: str) -> tuple[Run, Job]:
    """The same, and the job it is of."""
    run = runs.get_run(tx, run_id)
    job = jobs.get_job(tx, run.job_id) if run else None
    what = f"run {run_id}"
    if run is None or job is None:
        raise NotFound(f"there is no {what} here")
    require(caller, action, job.owner, what=what, job_id=job.id)
    return run, job


def view(
    tx: Transaction, caller: Caller, run_id: str, capacity: Capacity, now: datetime
) -> RunView:
    """A run with its attempts, events and place in the queue."""
    return view_of(tx, get(tx, caller, run_id), capacity, now)


def view_of(tx: Transaction, run: Run, capacity: Capacity, now: datetime) -> RunView:
    """The same for a run that the caller was found to see."""
    job = jobs.get_job(tx, run.job_id)
    if job is None:
        raise NotFound(f"there is no run {run.id} here")
    names = identities.user_names(tx, run.started_by)
    queued = run.state == RunState.QUEUED
    return RunView(
        run,
        job,
        attempts.list_attempts(tx, run.id),
        events.list_events(tx, run.id),
        names.get(run.started_by or ""),
        queue.waiting_for(tx, run, job, capacity, now) if queued else None,
    )


@dataclass(frozen=True)
class RunTold:
    """A run with its attempts, and events by their numbers."""

    run: Run
    attempts: list[Attempt]
    events: list[tuple[int, Event]]


def told(tx: Transaction, caller: Caller, run_id: str, after: int, limit: int) -> RunTold:
    """What happened to a run after the event of that number; at most `limit` events."""
    run = get(tx, caller, run_id)
    new = events.events_after(tx, run.id, after, limit)
    return RunTold(run, attempts.list_attempts(tx, run.id), new)


def list_page(
    tx: Transaction,
    caller: Caller,
    *,
    size: int,
    job_id: str | None = None,
    states: Collection[RunState] | None = None,
    triggers: Collection[Trigger] | None = None,
    after: tuple[datetime, str] | None = None,
    before: tuple[datetime, str] | None = None,
) -> list[Run]:
    """Runs that the caller sees, newest first; of one job if `job_id` is given."""
    if job_id is not None:
        get_job(tx, caller, job_id, "runs:read")
        owners = None
    else:
        owners = visible_owners(caller, "runs:read")
    wanted = runs.RunFilter(job_id, owners, states, triggers)
    return runs.list_runs(tx, wanted, size=size, after=after, before=before)


def checked_key(key: str | None) -> str | None:
    """The key as it was given. Invalid if it is empty or too long."""
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise Invalid(f"an Idempotency-Key has 1 to {LONGEST_KEY} characters")
    return key


def attempt_has_ended(tx: Transaction, attempt_id: str) -> bool:
    """Has this attempt, of a run that the caller was found to see, ended (or is it gone)?"""
    attempt = attempts.get_attempt(tx, attempt_id)
    return attempt is None or attempt.finished_at is not None


def lock_of(tx: Transaction, caller: Caller, run_id: str) -> str:
    """The resolved packages of a run. NotFound until they are known."""
    run = get(tx, caller, run_id)
    text = locks.get_lock(tx, run.lock_id) if run.lock_id else None
    if text is None:
        raise NotFound(f"run {run_id} has no list of packages (yet)")
    return text
