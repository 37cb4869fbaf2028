"""What an attempt's directory says, brought into the database: reports, and the end.

`look` reads files and nothing else; `settle` writes rows and nothing else.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runhook.model.run import Attempt, Event, Run, RunState
from runhook.runner.spec import Report, Result
from runhook.services import git_access
from runhook.services.outcomes import end_attempt
from runhook.store import attempts, events, locks, runs
from runhook.store.database import Transaction

OUTCOMES = ("succeeded", "failed", "cancelled", "timed_out")
LATEST = 2**33
"""Seconds since 1970, some time in the year 2242: nothing happened later than this."""
LONGEST_REPORTS = 4 * 1024 * 1024


@dataclass(frozen=True)
class Sighting:
    """What one look at an attempt's directory found new. `events_read` is a byte offset."""

    reports: Sequence[Report]
    events_read: int
    result: Result | None
    lock: str | None

    @property
    def news(self) -> bool:
        """Is there anything to write down?"""
        return bool(self.reports or self.result)


def look(directory: Path, events_read: int) -> Sighting:
    """Reports from `events_read` on, and the result if the attempt has ended. The result is looked
    for first: once it is there, no report comes after those read here."""
    result = _result(directory)
    reports, offset = _reports(directory / "events.jsonl", events_read)
    lock = _text(directory / "lock.txt") if result else None
    return Sighting(reports, offset, result, lock)


def _result(directory: Path) -> Result | None:
    """The result; one that cannot be used is a failure with the reason, never a run without end."""
    try:
        result = Result.load(directory)
        if result is not None and not _usable(result):
            raise ValueError("it is not of the shape that a runner writes")
    except (OSError, ValueError, TypeError) as error:
        reason = f"the result of the attempt cannot be read: {error}"
        return Result("failed", datetime.now(UTC).timestamp(), reason=reason)
    return result


def _usable(result: Result) -> bool:
    numbers = (result.exit_code, result.signal)
    return (
        result.outcome in OUTCOMES
        and _is_instant(result.finished_at)
        and all(each is None or (type(each) is int and abs(each) < 2**31) for each in numbers)
        and all(each is None or isinstance(each, str) for each in (result.step, result.reason))
    )


def _is_instant(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < LATEST  # type: ignore[operator]


def _reports(path: Path, offset: int) -> tuple[list[Report], int]:
    """Whole lines only: the last one may still be in the writing."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            block = file.read(LONGEST_REPORTS)
    except FileNotFoundError:
        return [], offset
    end = block.rfind(b"\n") + 1
    reports = [_report(line) for line in block[:end].splitlines()]
    return [report for report in reports if report], offset + end


def _report(line: bytes) -> Report | None:
    """A line that is no report is left out: it must not stop the ones after it."""
    try:
        report = Report(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    shaped = isinstance(report.kind, str) and isinstance(report.data, dict)
    return report if shaped and _is_instant(report.at) else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def settle(
    tx: Transaction, attempt: Attempt, seen: Sighting, *, now: datetime, lost: str | None
) -> bool:
    """Write down what was seen; True if the attempt has ended with it.

    `lost`: the executor says that the attempt is gone, and why; it counts only if there is no
    result.
    """
    run = runs.get_run(tx, attempt.run_id)
    current = attempts.get_attempt(tx, attempt.id)
    if (
        run is None
        or current is None
        or current.finished_at
        or current.events_read > seen.events_read
    ):
        return False
    for report in seen.reports:
        _note(tx, current, report, now)
    if seen.events_read > current.events_read:
        attempts.update_attempt(tx, attempt.id, events_read=seen.events_read)
        tx.publish(f"run/{run.id}")
    if seen.result:
        _finish(tx, run, current, seen.result, seen.lock)
    elif lost:
        _lose(tx, run, current, lost, now)
    return bool(seen.result or lost)


def _note(tx: Transaction, attempt: Attempt, report: Report, now: datetime) -> None:
    at = datetime.fromtimestamp(report.at, UTC)
    events.record(tx, Event(attempt.run_id, attempt.id, at, report.kind, report.data))
    match report.kind, report.data:
        case "step_started", {"step": "command" | "notebook"}:
            attempts.update_attempt(tx, attempt.id, state=RunState.RUNNING, started_at=at)
            runs.transition(tx, attempt.run_id, to=RunState.RUNNING, now=at, attempt_id=attempt.id)
        case "checked_out", {"url": str(), "path": str(), "commit": str()} as data:
            runs.add_commit(tx, attempt.run_id, data)
        case "host_key_unknown", {"host": host, "keys": keys}:
            git_access.note_host_keys(tx, host, keys, now)


def _finish(tx: Transaction, run: Run, attempt: Attempt, result: Result, lock: str | None) -> None:
    if lock:
        runs.update_run(tx, run.id, lock_id=locks.keep_lock(tx, lock))
    state = RunState(result.outcome)
    kept = run.reason if state == RunState.CANCELLED else None
    end_attempt(
        tx,
        run,
        attempt,
        state,
        datetime.fromtimestamp(result.finished_at, UTC),
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
