"""The tokens that a job's runs have for themselves: scope, rotation, and who holds one."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.job import Job
from runhook.model.run import PERSONAL
from runhook.services import audit, jobs
from runhook.services.scopes import require_run_scope, scopes_of_run
from runhook.store import attempts, people, runs
from runhook.store import jobs as rows
from runhook.store.database import Transaction


@dataclass(frozen=True)
class RunTokens:
    """What can be said of a job's run tokens: the id changes with each rotation; the scope is as it
    was given, None for the usual one (`model.access.RUN_SCOPES`)."""

    id: str
    scope: str | None


def of(job: Job) -> RunTokens:
    """The present ones of a job that the caller was found to see."""
    name = f"run-token/{job.id}/{job.token_rotation}"
    return RunTokens(uuid.uuid5(uuid.NAMESPACE_URL, name).hex, job.spec.token_scope)


def rotate(tx: Transaction, caller: Caller, job_id: str, now: datetime) -> Job:
    """Tokens that runs of the job hold now open nothing any more. Attempts that begin later get new
    ones; runs that live go on without."""
    rows.lock_job(tx, job_id)
    job = jobs.get(tx, caller, job_id, "jobs:write")
    rows.rotate_token(tx, job.id)
    audit.record(
        tx,
        caller,
        "job.token-rotated",
        now,
        kind="job",
        id=job.id,
        name=job.name,
        owner=job.owner,
    )
    return jobs.get(tx, caller, job_id, "jobs:write")


def change_scope(
    tx: Transaction, caller: Caller, job_id: str, scope: str | None, now: datetime
) -> Job:
    """Give the runs of the job another scope (None: the usual one), and end their tokens."""
    rows.lock_job(tx, job_id)
    job = jobs.get(tx, caller, job_id, "jobs:write")
    require_run_scope(scope, "scope")
    values = {
        name: value for name, value in job.spec.recipe_spec().items() if name != "token_scope"
    }
    if scope is not None:
        values["token_scope"] = scope
    jobs.change(tx, caller, job_id, jobs.parse_spec(values), now)
    return rotate(tx, caller, job_id, now)


def caller_of(tx: Transaction, keys: Keys, token: str) -> Caller | None:
    """Who holds this run token: a run acts for its job's owner, within its scope, until its attempt
    has finished or the job's tokens are rotated, or until the person whose job it is, or who
    started it, may not sign in any more. Of a run that began by itself nobody is the starter: it
    does not depend on who made the job. None if it opens nothing."""
    claim = keys.attempt_of(token)
    attempt = attempts.get_attempt(tx, claim[0]) if claim else None
    run = runs.get_run(tx, attempt.run_id) if attempt and attempt.finished_at is None else None
    job = rows.get_job(tx, run.job_id) if run else None
    if claim is None or run is None or job is None or job.token_rotation != claim[1]:
        return None
    starter = run.started_by if run.trigger in PERSONAL else None
    if not people.may_act(tx, job.owner, starter):
        return None
    return Caller(
        user_id=run.started_by or "",
        name=f"run {run.number} of {job.name}",
        owner=job.owner,
        scopes=scopes_of_run(job.spec),
        run_id=run.id,
        via="run token",
    )
