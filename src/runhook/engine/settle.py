"""What was seen of an attempt, brought into the database: its reports, and its end.

Writes rows and nothing else.
"""

from datetime import UTC, datetime

from runhook.engine.sighting import Sighting
from runhook.model.run import Attempt, Event, Run, RunState
from runhook.runner.spec import Report, Result
from runhook.services import contracts, git_access
from runhook.services.outcomes import end_attempt
from runhook.store import attempts, events, locks, runs
from runhook.store.database import Transaction


def settle(
    tx: Transaction, attempt: Attempt, seen: Sighting, *, now: datetime, lost: str | None
) -> bool:
    """Write down what was seen; True if the attempt has ended with it.

    `lost`: the executor says that the attempt is gone, and why; it counts only if there is no
    result.
    """
    run = runs.lock_run(tx, attempt.run_id)
    current = attempts.get_attempt(tx, attempt.id)
    if (
        run is None
        or current is None
        or current.finished_at
        or current.events_read > seen.events_read
    ):
        return False
    for report in seen.reports:
        tx.fenced(f"report {report.kind} of {attempt.id}", _note, current, report, now)
    if seen.events_read > current.events_read:
        attempts.update_attempt(tx, attempt.id, events_read=seen.events_read)
        tx.publish(f"run/{run.id}")
    if seen.result:
        _finish(tx, run, current, seen.result, seen.lock, now)
    elif lost:
        _lose(tx, run, current, lost, now)
    return bool(seen.result or lost)


def _note(tx: Transaction, attempt: Attempt, report: Report, now: datetime) -> None:
    at = datetime.fromtimestamp(report.at, UTC)
    told = {name: each for name, each in report.data.items() if name != "cell"}
    events.record(tx, Event(attempt.run_id, attempt.id, at, report.kind, told))
    match report.kind, report.data:
        case "step_started", {"step": "command" | "notebook"}:
            attempts.update_attempt(tx, attempt.id, state=RunState.RUNNING, started_at=at)
            runs.transition(tx, attempt.run_id, to=RunState.RUNNING, now=at, attempt_id=attempt.id)
        case "checked_out", {"url": str(), "path": str(), "commit": str()} as data:
            runs.add_commit(tx, attempt.run_id, data)
        case "parameters_cell", data:
            run = runs.get_run(tx, attempt.run_id)
            if run:
                contracts.note_run(tx, run, data, at)
        case "host_key_unknown", {"host": host, "keys": keys}:
            git_access.note_host_keys(tx, host, keys, now)


def _finish(
    tx: Transaction, run: Run, attempt: Attempt, result: Result, lock: str | None, now: datetime
) -> None:
    if lock:
        runs.update_run(tx, run.id, lock_id=locks.keep_lock(tx, lock))
    state = RunState(result.outcome)
    kept = run.reason if state == RunState.CANCELLED else None
    end_attempt(
        tx,
        run,
        attempt,
        state,
        now,
        at=datetime.fromtimestamp(result.finished_at, UTC),
        signal=result.signal,
        exit_code=result.exit_code,
        step=result.step,
        reason=kept or result.reason,
    )


def _lose(tx: Transaction, run: Run, attempt: Attempt, reason: str, now: datetime) -> None:
    if run.cancel_requested_at is None:
        end_attempt(tx, run, attempt, RunState.LOST, now, reason=reason)
    else:
        end_attempt(tx, run, attempt, RunState.CANCELLED, now, reason=run.reason)
