"""Running exactly this again: the commits, packages, definition, parameters and logical time that a
run had, as a new run of the trigger `replay`.
"""

from datetime import datetime

from runhook.errors import Conflict
from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.run import Run, Trigger
from runhook.services import queue, run_secrets, runs
from runhook.store import jobs
from runhook.store import runs as rows
from runhook.store.database import Transaction


def why_not(tx: Transaction, run: Run) -> str | None:
    """Why the run cannot be run exactly again, as the end of a sentence; None if it can."""
    version = jobs.get_version(tx, run.job_id, run.job_version)
    if version is None:
        return "its definition is not there any more"
    known = {each.get("path") for each in run.commits}
    if any(each.folder not in known for each in version.spec.repositories):
        return "it did not check out everything, so its commits are not known"
    if run.lock_id is None:
        return "the list of its packages is not known: it ended before they were there"
    return None


def replay(
    tx: Transaction,
    keys: Keys,
    caller: Caller,
    run_id: str,
    now: datetime,
    idempotency_key: str | None = None,
) -> Run:
    """Queue a run that repeats another one. Conflict if not enough is known of it. With a key that
    was used for this job before, the run of that time is returned."""
    before, job = runs.get_with_job(tx, caller, run_id, "jobs:start")
    jobs.lock_job(tx, job.id)
    key = runs.checked_key(idempotency_key)
    if key and (known := rows.find_by_key(tx, job.id, key)):
        return known
    if reason := why_not(tx, before):
        raise Conflict(
            f"cannot run exactly this again because {reason}",
            hint="Start the job with the same parameters instead: POST …/start.",
        )
    values, sealed = run_secrets.parted(
        run_secrets.opened(tx, keys, before), before.secret_parameters or ()
    )
    new = rows.NewRun(
        job_id=job.id,
        job_version=before.job_version,
        trigger=Trigger.REPLAY,
        started_by=caller.user_id or None,
        parameters=values,
        secret_parameters=before.secret_parameters,
        created_at=now,
        idempotency_key=key,
        scheduled_for=before.scheduled_for,
        overlap=job.spec.on_overlap,
        priority=job.spec.priority or 0,
        pool=job.spec.pool,
        replay_of=before.id,
        commits=before.commits,
        lock_id=before.lock_id,
    )
    run = queue.admit(tx, caller, job, new)
    run_secrets.keep(tx, keys, run.id, sealed)
    runs.record_start(tx, caller, run, job, now)
    return run
