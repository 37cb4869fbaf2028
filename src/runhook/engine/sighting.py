"""What an attempt's directory says. Reads files and changes nothing.

The work may write there, too, so nothing in it is trusted: only regular files are opened, a bounded
part of them is read, and what is not of the shape that a runner writes is left out.
"""

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runhook.runner.spec import Report, Result

OUTCOMES = ("succeeded", "failed", "cancelled", "timed_out")
LATEST = 2**33
"""Seconds since 1970, some time in the year 2242: nothing happened later than this."""
LONGEST_REPORTS = 4 * 1024 * 1024
LONGEST_LOCK = 4 * 1024 * 1024
LONGEST_RESULT = 1024 * 1024
DEEPEST = 50


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
    for first: once it is there, no report comes after those read here. OSError if the machine
    cannot read at the moment, which says nothing about the attempt."""
    result = _result(directory)
    reports, offset = _reports(directory / "events.jsonl", events_read)
    lock = read_regular(directory / "lock.txt", LONGEST_LOCK) if result else None
    return Sighting(reports, offset, result, lock.decode("utf-8", "replace") if lock else None)


def read_regular(path: Path, most: int, offset: int = 0) -> bytes | None:
    """Up to `most` bytes of a file; None if there is none, or something that is no regular file:
    a pipe, a directory, a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        if path.is_symlink():
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.pread(descriptor, most, offset)
    finally:
        os.close(descriptor)


def _result(directory: Path) -> Result | None:
    """The result; one that cannot be used is a failure with the reason, never a run without end."""
    text = read_regular(directory / "result.json", LONGEST_RESULT)
    if text is None:
        return None
    try:
        result = Result(**_parsed(text))
        if not _usable(result):
            raise ValueError("it is not of the shape that a runner writes")
    except (ValueError, TypeError) as error:
        reason = f"the result of the attempt cannot be read: {error}"
        return Result("failed", datetime.now(UTC).timestamp(), reason=reason)
    return result


def _parsed(text: bytes) -> dict[str, Any]:
    """A JSON object that any database takes: no NaN, not nested too deep. ValueError otherwise."""
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(value, dict) or _too_deep(value, DEEPEST):
        raise ValueError("it is no JSON object of a reasonable depth")
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _too_deep(value: object, left: int) -> bool:
    if isinstance(value, dict):
        return left == 0 or any(_too_deep(each, left - 1) for each in value.values())
    if isinstance(value, list):
        return left == 0 or any(_too_deep(each, left - 1) for each in value)
    return False


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
    """Whole lines only: the last one may still be in the writing. A line that has no end within
    the block is left out with the whole block, so that it cannot hold up those after it."""
    block = read_regular(path, LONGEST_REPORTS, offset)
    if block is None:
        return [], offset
    end = block.rfind(b"\n") + 1
    if not end and len(block) == LONGEST_REPORTS:
        return [], offset + len(block)
    reports = [_report(line) for line in block[:end].splitlines()]
    return [report for report in reports if report], offset + end


def _report(line: bytes) -> Report | None:
    """A line that is no report is left out: it must not stop the ones after it."""
    try:
        report = Report(**_parsed(line))
    except (ValueError, TypeError):
        return None
    shaped = isinstance(report.kind, str) and isinstance(report.data, dict)
    return report if shaped and _is_instant(report.at) else None
