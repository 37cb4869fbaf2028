"""Defining jobs: create, change, apply a recipe, delete, pause; and looking at them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from runhook.errors import Conflict, Invalid, NotFound
from runhook.model.access import Caller
from runhook.model.given_back import given_back
from runhook.model.job import Job, JobSpec
from runhook.model.people import Owner
from runhook.model.run import Run
from runhook.services import audit, secrets
from runhook.services.access import require, visible_owners
from runhook.services.members import require_owner
from runhook.services.scopes import require_run_scope
from runhook.services.validation import field_errors
from runhook.store import identities, jobs, people, runs
from runhook.store.database import Transaction
from runhook.store.jobs import ArmedSchedule, JobVersion
from runhook.store.runs import Activity, Duration

VARIABLES = "environment_variables"


@dataclass(frozen=True)
class JobView:
    """A job with what every list and page shows of it; runs are newest first. `owner` says what
    the job's owner is."""

    job: Job
    schedules: list[ArmedSchedule]
    recent: list[Run]
    activity: Activity
    created_by: str | None
    durations: Sequence[Duration] = ()
    owner: Owner | None = None

    @property
    def last(self) -> Run | None:
        """The newest run."""
        return self.recent[0] if self.recent else None

    @property
    def next_fire_at(self) -> datetime | None:
        """The next fire of any schedule that is not paused."""
        return min(
            (
                armed.next_fire_at
                for armed in self.schedules
                if armed.next_fire_at and not armed.paused
            ),
            default=None,
        )


def parse_spec(values: Mapping[str, Any]) -> JobSpec:
    """A definition from the outside; Invalid names each field that is wrong."""
    try:
        return JobSpec.model_validate(values)
    except ValidationError as error:
        raise Invalid(
            "cannot use this job definition", details=field_errors(error, JobSpec)
        ) from None


def create(tx: Transaction, caller: Caller, spec: JobSpec, now: datetime) -> Job:
    """A new job. Conflict if its owner has one of that name."""
    owner = _owner(caller, spec)
    require(caller, "jobs:write", owner, what=f"owner {owner}")
    require_run_scope(spec.token_scope)
    require_owner(tx, caller, owner)
    secrets.require_attachable(tx, caller, owner, spec)
    _require_free(tx, owner, spec.name)
    job = jobs.insert_job(tx, owner, spec, user_id=caller.user_id, now=now)
    jobs.replace_schedules(tx, job.id, spec.rules, now)
    _record(tx, caller, "job.created", job, now, after=audit.shortened(_told(spec)))
    return job


def change(tx: Transaction, caller: Caller, job_id: str, spec: JobSpec, now: datetime) -> Job:
    """The job with a new definition, as a new version; the same definition changes nothing, also
    as a recipe gives it back."""
    jobs.lock_job(tx, job_id)
    job = get(tx, caller, job_id, "jobs:write")
    if spec.owner is not None and _owner(caller, spec) != job.owner:
        raise Conflict("cannot move a job to another owner: delete it and create it there")
    if given_back(spec.recipe_spec()) == given_back(job.spec.recipe_spec()):
        return job
    require_run_scope(spec.token_scope)
    secrets.require_attachable(tx, caller, job.owner, spec)
    if spec.name != job.name:
        _require_free(tx, job.owner, spec.name)
    changed = jobs.update_job(tx, job, spec, user_id=caller.user_id, now=now)
    jobs.replace_schedules(tx, job.id, spec.rules, now)
    _record(tx, caller, "job.changed", changed, now, *_difference(job.spec, spec))
    return changed


def apply(tx: Transaction, caller: Caller, spec: JobSpec, now: datetime) -> tuple[Job, str]:
    """Create or change the job of that owner and name: the job, and `created`, `updated` or
    `unchanged`."""
    owner = _owner(caller, spec)
    if caller.role_on(owner) is None:  # before anything tells whether they have such a job
        raise NotFound(f"there is no owner {owner} here")
    known = jobs.find_job(tx, owner, spec.name)
    if known is None:
        return create(tx, caller, spec, now), "created"
    job = change(tx, caller, known.id, spec, now)
    return job, "unchanged" if job.version == known.version else "updated"


def delete(
    tx: Transaction, caller: Caller, job_id: str, now: datetime, *, allow_active: bool = False
) -> None:
    """Remove the job with its runs, logs and artifacts.

    Conflict while runs are active, unless `allow_active`: then they are cancelled first.
    """
    jobs.lock_job(tx, job_id)
    job = get(tx, caller, job_id, "jobs:write")
    active = runs.active_runs(tx, job.id)
    if active and not allow_active:
        raise Conflict(
            f"cannot delete {job.name} while it runs",
            hint="Cancel its runs first, or pass allow_active=true.",
        )
    for run in active:
        reason = "its job was deleted"
        if runs.wish_cancelled(tx, run, now, reason):
            audit.record_run(tx, caller, "run.cancelled", run, job, now, {"reason": reason})
    jobs.mark_deleted(tx, job.id, now)
    _record(tx, caller, "job.deleted", job, now, before=audit.shortened(_told(job.spec)))


def pause(tx: Transaction, caller: Caller, job_id: str, paused: bool, now: datetime) -> Job:
    """Pause all schedules of the job, or let them go on. Conflict if it has none."""
    jobs.lock_job(tx, job_id)
    job = get(tx, caller, job_id, "jobs:write")
    if not job.spec.rules:
        raise Conflict(f"{job.name} has no schedule", hint="Give it one first, such as '@hourly'.")
    jobs.pause_schedules(tx, job.id, paused, now)
    _record(tx, caller, "job.paused" if paused else "job.resumed", job, now)
    return job


def get(tx: Transaction, caller: Caller, job_id: str, action: str = "jobs:read") -> Job:
    """The job, if the caller may do `action` on it."""
    job = jobs.get_job(tx, job_id)
    what = f"job {job_id}"
    if job is None:
        raise NotFound(f"there is no {what} here")
    require(caller, action, job.owner, what=what, job_id=job.id)
    return job


def find(tx: Transaction, caller: Caller, name: str, owner: str | None = None) -> Job:
    """The job called `name`, of `owner`, or of the caller if that is None; an empty `owner` is
    nobody, who has none."""
    whose = caller.owner if owner is None else owner
    job = jobs.find_job(tx, whose, name)
    what = f"job {name} of {whose or 'that owner'}"
    if job is None:
        raise NotFound(f"there is no {what} here")
    require(caller, "jobs:read", job.owner, what=what, job_id=job.id)
    return job


def list_page(
    tx: Transaction,
    caller: Caller,
    *,
    size: int,
    name: str = "",
    owner: str | None = None,
    tag: tuple[str, str] | None = None,
    after: tuple[str, str] | None = None,
    before: tuple[str, str] | None = None,
    descending: bool = False,
) -> list[Job]:
    """Jobs that the caller sees, by name; `tag` is a (key, value) that they have."""
    return jobs.list_jobs(
        tx,
        size=size,
        owners=_owners(caller, owner),
        name=name,
        tag=tag,
        after=after,
        before=before,
        descending=descending,
    )


def _owners(caller: Caller, owner: str | None) -> Collection[str] | None:
    visible = visible_owners(caller, "jobs:read")
    if owner is None:
        return visible
    return [owner] if visible is None or owner in visible else []


def views(tx: Transaction, found: list[Job], recent: int = 1, durations: int = 0) -> list[JobView]:
    """What the lists and pages show of jobs that the caller was found to see: with so many of the
    newest runs, and with how long so many of them took."""
    armed = jobs.list_schedules(tx, *(job.id for job in found))
    names = identities.user_names(tx, *(job.created_by for job in found))
    owners = people.owners_named(tx, {job.owner for job in found}) if found else {}
    ids = [job.id for job in found]
    doing, newest = runs.activity(tx, ids), runs.recent_runs(tx, ids, recent)
    took = runs.durations(tx, ids, durations) if durations else {}
    return [
        JobView(
            job,
            [schedule for schedule in armed if schedule.job_id == job.id],
            newest[job.id],
            doing[job.id],
            names.get(job.created_by or ""),
            took.get(job.id, ()),
            owners.get(job.owner),
        )
        for job in found
    ]


def for_eyes(caller: Caller, view: JobView) -> JobView:
    """The view, or, for a credential that may use the job but not read it, the view without its
    definition: such a token is answered, but learns nothing."""
    if caller.scoped("jobs:read", view.job.id):
        return view
    bare = JobSpec.model_construct(name=view.job.name)
    return replace(view, job=replace(view.job, spec=bare), schedules=[])


def versions(tx: Transaction, caller: Caller, job_id: str) -> list[JobVersion]:
    """Every version of the definition, newest first."""
    return jobs.list_versions(tx, get(tx, caller, job_id).id)


def _record(
    tx: Transaction,
    caller: Caller,
    action: str,
    job: Job,
    now: datetime,
    before: Any = None,
    after: Any = None,
) -> None:
    audit.record(
        tx,
        caller,
        action,
        now,
        kind="job",
        id=job.id,
        name=job.name,
        owner=job.owner,
        before=before,
        after=after,
    )


def _told(spec: JobSpec) -> dict[str, Any]:
    """The definition as the audit log may hold it: of variables only the names, since people put
    into their values what they should not."""
    told = spec.recipe_spec()
    if told.get(VARIABLES):
        told[VARIABLES] = dict.fromkeys(told[VARIABLES], "(a value)")
    return told


def _difference(old: JobSpec, new: JobSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of each only the fields that differ, and of the variables only those; that a value differs is
    told, too."""
    before, after = _told(old), _told(new)
    was, now = old.recipe_spec().get(VARIABLES) or {}, new.recipe_spec().get(VARIABLES) or {}
    for name in was.keys() & now.keys():
        if was[name] != now[name]:
            after[VARIABLES][name] = "(another value)"
    fields = _only_different(before, after)
    if VARIABLES in fields[0] and VARIABLES in fields[1]:
        fields[0][VARIABLES], fields[1][VARIABLES] = _only_different(
            fields[0][VARIABLES] or {}, fields[1][VARIABLES] or {}
        )
    return audit.shortened(fields[0]), audit.shortened(fields[1])


def _only_different(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return _only(before, names), _only(after, names)


def _only(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _owner(caller: Caller, spec: JobSpec) -> str:
    """Whose the job is to be; an owner named without an organisation is of the caller's."""
    name = spec.owner or caller.owner
    return name if "/" in name else f"{caller.owner.rpartition('/')[0]}/{name}"


def _require_free(tx: Transaction, owner: str, name: str) -> None:
    jobs.lock_name(tx, owner, name)
    if jobs.find_job(tx, owner, name):
        raise Conflict(f"{owner} already has a job called {name}", details={"name": "is taken"})
