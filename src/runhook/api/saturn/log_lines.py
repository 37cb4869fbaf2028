"""The lines of an attempt's log, and when they were written: for clients that ask for so many lines
instead of bytes. Nothing here reads more of a log than what it answers with."""

import bisect
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runhook import logs

LONGEST_ANSWER = 8 * 1024 * 1024
"""Bytes of a log in one answer; the answer leads on to the rest."""
MOST_LINES = 20_000
"""Lines of one answer: each becomes an object, so short ones take far more room than in the log."""
LONGEST_INDEX = 16 * 1024 * 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INDEXED = re.compile(r"^(\d{1,18}) (\d{1,18})$", re.ASCII | re.MULTILINE)


@dataclass(frozen=True)
class Line:
    """A line without its end; `at` is when the log had grown past it, as far as that was noted."""

    text: str
    at: datetime | None


@dataclass(frozen=True)
class Piece:
    """Whole lines of a log; `end` is the offset after them, and `more` says that others follow."""

    lines: list[Line]
    end: int
    more: bool


def tail(path: Path, most: int) -> str:
    """The last `most` lines, of at most 8 MiB, as one text."""
    size, found = logs.size(path), b""
    begin = size
    while begin > 0 and len(found) < LONGEST_ANSWER and found.count(b"\n") <= most:
        length = min(logs.BLOCK, begin)
        begin -= length
        found = logs.read(path, begin, length) + found
    lines = found.splitlines(keepends=True)[-most:]
    return b"".join(lines).decode("utf-8", "replace")


def piece(path: Path, offset: int, most: int | None) -> Piece:
    """Lines from `offset` on: `most` of them, or all, as far as they fit into one answer."""
    most = MOST_LINES if most is None else min(most, MOST_LINES)
    data = logs.read(path, offset, LONGEST_ANSWER)
    size = logs.size(path)
    if offset + len(data) < size:  # a line that goes on belongs to the next piece
        data = data[: data.rfind(b"\n") + 1] or data[: logs.complete(data)]
    raw = data.split(b"\n", most)
    raw = raw[:-1] if raw[-1] == b"" else raw
    kept = raw[:most]
    end = min(offset + sum(len(line) + 1 for line in kept), offset + len(data))
    times = _times(path.with_name("log.index"))
    lines, at = [], offset
    for line in kept:
        at += len(line) + 1
        lines.append(Line(line.decode("utf-8", "replace").rstrip("\r"), _time(times, at)))
    return Piece(lines, end, end < size)


def _times(index: Path) -> tuple[list[int], list[int]]:
    """The sizes that were noted, and the microseconds since 1970 when."""
    text = logs.read(index, 0, LONGEST_INDEX).decode("ascii", "replace")
    found = INDEXED.findall(text)
    return [int(size) for _, size in found], [int(at) for at, _ in found]


def _time(times: tuple[list[int], list[int]], end: int) -> datetime | None:
    sizes, moments = times
    position = bisect.bisect_left(sizes, end)
    if position == len(sizes):
        return None
    return EPOCH + timedelta(microseconds=moments[position])
