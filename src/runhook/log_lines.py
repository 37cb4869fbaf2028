"""A log by line numbers, however long it is: lines count from 1 and end with a newline.

An index says how many lines begin before each block of the file: some 40,000 numbers for 10 GB,
made once, from where it ended before, and kept in memory for the logs that were looked at last. So
any slice is found by one bisection and the reading of one block. A log only grows; one that is
shorter than before is another one.
"""

import threading
import time
from array import array
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from runhook import logs

BLOCK = 256 * 1024
PATIENCE = 1.0
LONGEST_LINE = 8 * 1024
LARGEST_SLICE = 1024 * 1024
MOST_KNOWN = 64
NEWLINE = b"\n"


@dataclass
class Index:
    """How many newlines stand before each block, as far as the log was read: `size` bytes, with
    `newlines` in them, `open` if a line has begun that is not complete."""

    path: Path
    before: "array[int]" = field(default_factory=lambda: array("Q", [0]))
    size: int = 0
    newlines: int = 0
    open: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def total(self) -> int:
        """How many lines there are."""
        return self.newlines + self.open

    def extend(self, patience: float = PATIENCE) -> bool:
        """Count what was written since, for at most so many seconds: True if that was all."""
        limit = time.monotonic() + patience
        with self.lock:
            if logs.size(self.path) < self.size:
                self.before, self.size, self.newlines, self.open = array("Q", [0]), 0, 0, False
            while data := logs.read(self.path, self.size, BLOCK - self.size % BLOCK):
                self.size += len(data)
                self.newlines += data.count(NEWLINE)
                self.open = not data.endswith(NEWLINE)
                if self.size % BLOCK == 0:
                    self.before.append(self.newlines)
                if time.monotonic() > limit:
                    return self.size >= logs.size(self.path)
        return True

    def offset_of(self, line: int) -> int:
        """The byte where line number `line` begins; the end of what is known, if there is none."""
        passed = line - 1
        if passed <= 0:
            return 0
        if passed > self.newlines:
            return self.size
        block = bisect_left(self.before, passed) - 1
        data = logs.read(self.path, block * BLOCK, BLOCK)
        rest = data.split(NEWLINE, passed - self.before[block])[-1]
        return block * BLOCK + len(data) - len(rest)

    def line_at(self, offset: int) -> int:
        """The number of the line that the byte at `offset` belongs to."""
        block = min(offset // BLOCK, len(self.before) - 1)
        data = logs.read(self.path, block * BLOCK, offset - block * BLOCK)
        return self.before[block] + data.count(NEWLINE) + 1


@dataclass(frozen=True)
class Line:
    """A line as bytes, of one that is too long only a part (`cut`), and the offset of its end."""

    data: bytes
    cut: bool
    end: int


@dataclass(frozen=True)
class Slice:
    """`lines` from number `first` on, out of `total`; not `counted`: there are more than these, and
    whoever asks again is told how many."""

    first: int
    lines: list[Line]
    total: int
    counted: bool


_known: OrderedDict[Path, Index] = OrderedDict()
_known_lock = threading.Lock()


def index_of(path: Path) -> Index:
    """The index of a log; those that were not asked for for longest are forgotten."""
    with _known_lock:
        index = _known.setdefault(path, Index(path))
        _known.move_to_end(path)
        while len(_known) > MOST_KNOWN:
            _known.popitem(last=False)
        return index


def lines(path: Path, first: int | None, count: int) -> Slice:
    """At most `count` lines from number `first` on, the last ones if that is None; fewer, where
    they are so long that they would be more than about a megabyte. Call it in a thread."""
    index = index_of(path)
    counted = index.extend()
    total = index.total
    start = max(1, total - count + 1) if first is None else max(1, first)
    found: list[Line] = []
    offset, given = index.offset_of(start), 0
    while len(found) < count and start + len(found) <= total and given < LARGEST_SLICE:
        batch = _batch(index, offset, start + len(found), count - len(found))
        if not batch:
            break  # it became another log meanwhile
        found += batch
        offset, given = batch[-1].end + 1, given + sum(len(each.data) for each in batch)
    return Slice(start, found, total, counted)


def _batch(index: Index, offset: int, number: int, count: int) -> list[Line]:
    """The lines that one block from `offset` on holds, at least one, which may end behind it."""
    window = logs.read(index.path, offset, min(BLOCK, index.size - offset))
    pieces = window.split(NEWLINE, count)
    complete = pieces[:-1][:count]
    if not complete and window:
        return [_long(index, offset, number, window)]
    found = []
    for piece in complete:
        offset += len(piece) + 1
        found.append(_line(piece, offset - 1))
    return found


def _long(index: Index, offset: int, number: int, window: bytes) -> Line:
    """A line that does not end in its window: its last state if it is a progress bar, else its
    beginning."""
    end = index.offset_of(number + 1) - (number <= index.newlines)
    if end - offset <= len(window):
        return _line(window[: end - offset], end)
    tail = logs.read(index.path, end - LONGEST_LINE, LONGEST_LINE)
    return Line(tail if b"\r" in tail else window[:LONGEST_LINE], True, end)


def _line(piece: bytes, end: int) -> Line:
    state = last_state(piece)
    return Line(state[:LONGEST_LINE], len(state) > LONGEST_LINE, end)


def last_state(piece: bytes) -> bytes:
    """What a terminal would show of a line that returned to its beginning, as progress bars do."""
    return piece.rstrip(b"\r").rpartition(b"\r")[2]
