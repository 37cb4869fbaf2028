"""Into the queue, and what a run that stands in it waits for.

Admission is decided in the transaction that writes the run, with the job's row held, so two starts
at the same instant cannot both find room.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from runhook.model.access import Caller
from runhook.model.job import Job
from runhook.model.policy import Overlap
from runhook.model.quantity import seconds
from runhook.model.run import Run, RunState
from runhook.services import audit
from runhook.services.capacity import Capacity
from runhook.store import attempts, queue, runs
from runhook.store.database import Transaction


@dataclass(frozen=True)
class Waiting:
    """The place of a queued run: how many stand before it, and what it waits for, in words."""

    ahead: int
    reason: str

    @property
    def sentence(self) -> str:
        """`2 ahead; the job allows one at a time`."""
        place = f"{self.ahead} ahead" if self.ahead else "next"
        return f"{place}; {self.reason}" if self.reason else place


def admit(tx: Transaction, caller: Caller, job: Job, new: runs.NewRun) -> Run:
    """Write the run: `queued`, or `skipped` with the reason if the overlap policy wants that. What
    it takes the place of is cancelled by `caller`."""
    patience = job.spec.queue_timeout
    if patience is not None:
        new = new.expiring(new.created_at + timedelta(seconds=seconds(patience)))
    reason = _refusal(tx, job, new.overlap)
    if reason:
        return runs.insert_run(tx, new, RunState.SKIPPED, reason)
    if new.overlap == Overlap.REPLACE:
        _cancel_active(tx, caller, job, new.created_at)
    return runs.insert_run(tx, new)


def _cancel_active(tx: Transaction, caller: Caller, job: Job, now: datetime) -> None:
    reason = "replaced by a newer run"
    for run in runs.active_runs(tx, job.id):
        if runs.wish_cancelled(tx, run, now, reason):
            audit.record_run(tx, caller, "run.cancelled", run, job, now, {"reason": reason})


def _refusal(tx: Transaction, job: Job, overlap: Overlap) -> str | None:
    """Why a start becomes no run, if it does not."""
    limit = job.spec.running_limit(overlap)
    if overlap == Overlap.SKIP and limit is not None:
        active = runs.active_runs(tx, job.id, limit)
        if len(active) >= limit:
            return f"run {active[0].number} was still active, and the job skips what overlaps"
    most = job.spec.max_queued
    if most is None or overlap == Overlap.REPLACE:
        return None
    waiting = queue.count_waiting(tx, job.id)
    if limit is None:  # only the server makes it wait, so one more is always tried
        full = waiting >= max(1, most)
    else:
        full = waiting + queue.count_alive(tx, job.id) >= limit + most
    return f"the job's queue is full: it holds at most {most}" if full else None


def waiting_for(tx: Transaction, run: Run, job: Job, capacity: Capacity, now: datetime) -> Waiting:
    """The place of a queued run."""
    if run.not_before_at and run.not_before_at > now:
        return Waiting(0, f"tried again at {run.not_before_at:%Y-%m-%d %H:%M:%S} UTC")
    limit = job.spec.running_limit(run.overlap)
    if limit is not None and queue.count_alive(tx, job.id) >= limit:
        many = "one" if limit == 1 else str(limit)
        return Waiting(
            queue.count_ahead(tx, run, same_job=True), f"the job allows {many} at a time"
        )
    return Waiting(queue.count_ahead(tx, run, same_job=False), _server_side(tx, job, capacity))


def _server_side(tx: Transaction, job: Job, capacity: Capacity) -> str:
    full = capacity.obstacle()
    if full:
        return full
    pool = job.spec.pool
    if pool is not None and pool not in capacity.pools:
        return f"there is no pool {pool} on this server"
    if pool is not None and queue.alive_in_pool(tx, pool) >= capacity.pools[pool]:
        places = capacity.pools[pool]
        return f"the pool {pool} has {places} place{'' if places == 1 else 's'}, and all are taken"
    if attempts.count_unfinished_attempts(tx) >= capacity.runs:
        return f"the server runs {capacity.runs} at a time"
    return ""
