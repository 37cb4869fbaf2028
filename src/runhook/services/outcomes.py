"""The end of an attempt, and what follows from it: the run's end, another try, other jobs.

Called by the engine, for what a runner left behind as well as for what could not be started.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from runhook.errors import RunhookError
from runhook.model.access import Caller
from runhook.model.job import Job, JobSpec
from runhook.model.quantity import seconds
from runhook.model.run import TERMINAL, Attempt, Event, Run, RunState, Trigger
from runhook.services import runs as run_service
from runhook.store import attempts, events, jobs, runs
from runhook.store.database import Transaction

logger = logging.getLogger("runhook")
LONGEST_CHAIN = 100


def end_attempt(
    tx: Transaction,
    run: Run,
    attempt: Attempt,
    state: RunState,
    now: datetime,
    *,
    at: datetime | None = None,
    signal: int | None = None,
    **facts: Any,
) -> None:
    """The attempt ends in `state`, and its run with it, unless the job allows another try: then the
    run is queued again. `at` is when it ended, if that was before `now`; what follows happens now.
    `facts` are columns of both (exit_code, step, reason)."""
    assert state in TERMINAL
    at = min(at or now, now)
    end = {"state": state, "finished_at": at, "signal": signal}
    if not attempts.update_attempt(tx, attempt.id, **end, **facts):
        return  # it had ended before: what is written stays
    tx.publish("ended", f"log/{attempt.id}")
    spec = _spec(tx, run)
    if spec and _may_retry(spec, run, attempt, state):
        _queue_again(tx, spec, run, attempt, now, facts.get("reason"))
        return
    moved = runs.transition(tx, run.id, to=state, now=at, attempt_id=attempt.id, **facts)
    if moved and state == RunState.SUCCEEDED:
        tx.fenced(f"what follows run {run.id}", _start_followers, run, now)


def _spec(tx: Transaction, run: Run) -> JobSpec | None:
    """The definition; None if it is one that cannot be read any more (its time zone is gone)."""
    try:
        version = jobs.get_version(tx, run.job_id, run.job_version)
    except ValueError:
        return None
    return version.spec if version else None


def _may_retry(spec: JobSpec, run: Run, attempt: Attempt, state: RunState) -> bool:
    """Never for a run that somebody wanted to end."""
    if run.cancel_requested_at or attempt.number > spec.retrying.count:
        return False
    return state.value in spec.retrying.on


def _queue_again(
    tx: Transaction, spec: JobSpec, run: Run, attempt: Attempt, now: datetime, reason: str | None
) -> None:
    begin = now + spec.retrying.delay_after(attempt.number, run.id)
    patience = spec.queue_timeout
    runs.transition(
        tx,
        run.id,
        to=RunState.QUEUED,
        now=now,
        attempt_id=attempt.id,
        reason=reason,
        not_before_at=begin if begin > now else None,
        queue_expires_at=begin + timedelta(seconds=seconds(patience)) if patience else None,
    )


def _start_followers(tx: Transaction, run: Run, now: datetime) -> None:
    """Start the jobs that are to run after this one's success, each once."""
    job = jobs.get_job(tx, run.job_id)
    for follower in jobs.followers(tx, job) if job else []:
        causes = _causes(tx, run)
        if follower.id in causes or len(causes) >= LONGEST_CHAIN:
            reason = f"{follower.name} is not started: the jobs would follow each other for ever"
            events.record(tx, Event(run.id, None, now, "notice", {"message": reason}))
            continue
        _start_follower(tx, follower, run, now)


def _start_follower(tx: Transaction, follower: Job, run: Run, now: datetime) -> None:
    caller = Caller(follower.created_by or "", "another job", follower.owner, via="another job")
    request = run_service.StartRequest(Trigger.JOB, caused_by=run.id)
    try:
        run_service.start(tx, caller, follower.id, request, now)
    except RunhookError as error:
        logger.warning("run %s could not start %s: %s", run.id, follower.name, error)


def _causes(tx: Transaction, run: Run) -> set[str]:
    """The ids of the jobs in the chain of runs that led to this one, its own included."""
    found = {run.job_id}
    for _ in range(LONGEST_CHAIN):  # each job once, so the number of causes is that of steps
        cause = runs.get_run(tx, run.caused_by) if run.caused_by else None
        if cause is None:
            break
        found.add(cause.job_id)
        run = cause
    return found
