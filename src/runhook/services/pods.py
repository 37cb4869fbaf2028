"""Runs as the compatible contract sees them: one pod for each attempt, and one for the attempt that
an active run is still to get."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runhook.errors import NotFound
from runhook.model.access import Caller
from runhook.model.job import Job
from runhook.model.pod import parsed, pod_name, run_name
from runhook.model.run import ACTIVE, Attempt, Run, RunState
from runhook.services import jobs, runs
from runhook.services.access import visible_owners
from runhook.store import attempts as rows
from runhook.store import jobs as job_rows
from runhook.store import runs as run_rows
from runhook.store.database import Transaction

MOST_RUNS = 1000


@dataclass(frozen=True)
class Pod:
    """An attempt of a run of a job; `attempt` is None while the run waits for it, `before` is the
    attempt that it follows."""

    job: Job
    run: Run
    number: int
    attempt: Attempt | None
    before: Attempt | None = None

    @property
    def name(self) -> str:
        return pod_name(self.job.name, self.run.id, self.number)

    @property
    def run_name(self) -> str:
        return run_name(self.job.name, self.run.id)

    @property
    def state(self) -> RunState:
        """Of the attempt; of the run, if there is no attempt (yet)."""
        return self.attempt.state if self.attempt else self.run.state

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def began_at(self) -> datetime:
        """When it started; as long as it has not, when it was made, so that it is never nothing."""
        if self.attempt:
            return self.attempt.started_at or self.attempt.created_at
        ended = self.before.finished_at if self.before else None
        return ended or self.run.created_at


def of_job(tx: Transaction, caller: Caller, job_id: str) -> list[Pod]:
    """The pods of the newest 1000 runs of a job, active and ended, the newest run first."""
    job = jobs.get(tx, caller, job_id, "runs:read")
    found = run_rows.list_runs(tx, run_rows.RunFilter(job.id), size=MOST_RUNS)
    tries = rows.attempts_of_runs(tx, [run.id for run in found])
    pods: list[Pod] = []
    for run in found:
        attempts = tries.get(run.id, [])
        present = _present(job, run, attempts)
        pods += [present] if present.attempt is None and present.active else []
        pods += [_pod(job, run, attempts, each) for each in reversed(attempts)]
    return pods


def active(tx: Transaction, caller: Caller, job_id: str | None = None) -> list[Pod]:
    """The pods of active runs, of one job or of all that the caller sees, the newest first, at most
    1000: of each run the attempt that lives, or the one it waits for."""
    if job_id is not None:
        jobs.get(tx, caller, job_id, "runs:read")
    owners = None if job_id else visible_owners(caller, "runs:read")
    wanted = run_rows.RunFilter(job_id, owners, list(ACTIVE), None)
    found = run_rows.list_runs(tx, wanted, size=MOST_RUNS)
    tries = rows.attempts_of_runs(tx, [run.id for run in found])
    known = job_rows.jobs_of(tx, {run.job_id for run in found})
    pods = ((known.get(run.job_id), run, tries.get(run.id, [])) for run in found)
    return [_present(job, run, attempts) for job, run, attempts in pods if job]


def find(tx: Transaction, caller: Caller, name: str, job_id: str | None = None) -> Pod:
    """The pod of that name, of a run that lives or has ended; of `job_id` if that is given."""
    named = parsed(name)
    hint = "`sc pods job NAME` lists the pods of a job."
    missing = NotFound(f"there is no pod {name} here", hint=hint)
    if named is None:
        raise missing
    try:
        run, job = runs.get_with_job(tx, caller, named[0], "runs:read")
    except NotFound:
        raise missing from None
    attempts = rows.list_attempts(tx, run.id)
    present = _present(job, run, attempts)
    if job_id is not None and job.id != job_id:
        raise missing
    if named[1] in (None, present.number):
        return present
    wanted = next((each for each in attempts if each.number == named[1]), None)
    if wanted is None:
        raise missing
    return _pod(job, run, attempts, wanted)


def _present(job: Job, run: Run, attempts: Sequence[Attempt]) -> Pod:
    """The pod that a run has now: its latest attempt, or the next one if it waits for one."""
    latest = attempts[-1] if attempts else None
    if latest and not (run.state == RunState.QUEUED and latest.finished_at):
        return _pod(job, run, attempts, latest)
    return Pod(job, run, latest.number + 1 if latest else 1, None, latest)


def _pod(job: Job, run: Run, attempts: Sequence[Attempt], attempt: Attempt) -> Pod:
    before = (each for each in attempts if each.number == attempt.number - 1)
    return Pod(job, run, attempt.number, attempt, next(before, None))


def run_named(tx: Transaction, job: Job, name: str) -> str:
    """The id of the job's run that has this name, or this id. NotFound if it has none."""
    named = parsed(name)
    run = run_rows.get_run(tx, named[0]) if named else None
    if run is None or run.job_id != job.id:
        raise NotFound(f"{job.name} has no run {name}")
    return run.id
