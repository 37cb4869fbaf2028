"""When the lines of a log were written: from `log.index`, which says when the log had which size.

A text line `<microseconds since 1970> <size>` for each time it grew; both only become more, so what
is wanted is found by halving, however long that file is.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runhook import logs

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHUNK = 64 * 1024
NEAR = 4096


def times(log: Path, ends: Sequence[int]) -> list[datetime | None]:
    """For each offset in `ends` (ascending) when the log had become longer; None if unknown."""
    if not ends:
        return []
    entries = _entries(log.with_name("log.index"), _start(log.with_name("log.index"), ends[0]))
    found: list[datetime | None] = []
    entry = next(entries, None)
    for end in ends:
        while entry and entry[1] <= end:
            entry = next(entries, None)
        found.append(EPOCH + timedelta(microseconds=entry[0]) if entry else None)
    return found


def _start(path: Path, offset: int) -> int:
    """A place in the index from which the first size beyond `offset` is near."""
    low, high = 0, logs.size(path)
    while high - low > NEAR:
        middle = (low + high) // 2
        entry = next(_entries(path, middle), None)
        low, high = (middle, high) if entry and entry[1] <= offset else (low, middle)
    return low


def _entries(path: Path, place: int) -> Iterator[tuple[int, int]]:
    """The entries from the first line that begins at or behind `place` on."""
    rest, skip = b"", place > 0
    while data := logs.read(path, place, CHUNK):
        place += len(data)
        *whole, rest = (rest + data).split(b"\n")
        for line in whole[1:] if skip else whole:
            at, _, size = line.partition(b" ")
            if at.isdigit() and size.isdigit():
                yield int(at), int(size)
        skip = False
