"""Reading and following the log of an attempt by byte offset. A log is bytes; only its display is
text. Nothing here holds more than one block in memory, however long the log is.

Every run has a token of its own (`rhr_…`), and a run without secrets writes its log itself. So the
token is masked here, whenever a log is read, by as many asterisks: offsets stay true.
"""

import asyncio
import errno
import os
import re
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from runhook.bus import Bus, Hint
from runhook.runner.inotify import Growth

BLOCK = 64 * 1024
HEARTBEAT_SECONDS = 15.0
TOKEN_PREFIX, TOKEN_DIGITS = b"rhr_", 72
TOKEN_BYTES = len(TOKEN_PREFIX) + TOKEN_DIGITS
TOKEN = re.compile(rb"rhr_([0-9a-f]{1,72})")


@dataclass(frozen=True)
class Block:
    """A piece of a log; `end` is the offset after it. Empty: nothing new for a while."""

    data: bytes
    end: int


def size(path: Path) -> int:
    """The length of the log in bytes, 0 if there is none yet."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def read(path: Path, offset: int, longest: int = BLOCK) -> bytes:
    """Up to `longest` bytes from `offset`, run tokens masked; empty at the end, or if there is no
    log yet. What a run may have put in its place, such as a link to what it may not read, or a
    pipe, is no log."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            return b""
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        before = min(offset, TOKEN_BYTES)  # a token may have begun in front of this piece
        data = os.pread(descriptor, before + longest, offset - before)
    finally:
        os.close(descriptor)
    return _without_tokens(data)[before:]


def _without_tokens(data: bytes) -> bytes:
    """Also where only the beginning of a token is there (yet)."""
    if TOKEN_PREFIX not in data:
        return data
    return TOKEN.sub(lambda found: TOKEN_PREFIX + b"*" * len(found[1]), data)


async def stream(path: Path, offset: int) -> AsyncIterator[bytes]:
    """The log from `offset` to where it ends at this moment, block by block."""
    end = await asyncio.to_thread(size, path)
    while offset < end:
        data = await asyncio.to_thread(read, path, offset, min(BLOCK, end - offset))
        if not data:
            return
        offset += len(data)
        yield data


async def follow(
    path: Path, offset: int, bus: Bus, *topics: str, ended: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[Block, None]:
    """The log from `offset` on, as it grows, until `ended()` and everything was given. Whoever
    reads on no more closes it.

    Wakes when the file grows and when one of `topics` is published (there may be no file yet, and
    the end is told there). An empty block comes whenever it woke for nothing, and every 15 seconds
    without news, so that whoever relays this notices a reader that has left, or may not read on.
    """
    with bus.subscribe(*topics) as hint, growth(path, hint) as watch:
        while True:
            finished, before = await ended(), offset
            watch()
            async for block in _blocks(path, offset, whole=finished):
                offset = block.end
                yield block
            if finished:
                return
            if offset == before:
                yield Block(b"", offset)
            await hint.wait(HEARTBEAT_SECONDS)


async def _blocks(path: Path, offset: int, *, whole: bool) -> AsyncIterator[Block]:
    """What is there now. A character that is not complete yet waits, unless `whole` is wanted."""
    while data := await asyncio.to_thread(read, path, offset):
        kept = data if whole and len(data) < BLOCK else data[: complete(data)]
        if not kept:
            return
        offset += len(kept)
        yield Block(kept, offset)


def complete(data: bytes) -> int:
    """The length of `data` without an incomplete UTF-8 character at its end (RFC 3629)."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0b1100_0000 == 0b1000_0000:
            continue
        wanted = (
            2
            if byte >> 5 == 0b110
            else 3
            if byte >> 4 == 0b1110
            else 4
            if byte >> 3 == 0b11110
            else 1
        )
        return len(data) - back if wanted > back else len(data)
    return len(data)


@contextmanager
def growth(path: Path, hint: Hint) -> Iterator[Callable[[], None]]:
    """A function that begins to give `hint` whenever the file grows; as long as there is none, when
    something new stands in its folder. To be called before each look at the file."""
    loop = asyncio.get_running_loop()
    watched: dict[Path, Growth] = {}

    def watch() -> None:
        if path in watched or not path.parent.exists():
            return
        with suppress(FileNotFoundError):  # it is not there yet, or has gone
            for place in (path.parent, path):
                if place not in watched:
                    watched[place] = Growth(place)
                    loop.add_reader(watched[place].fileno(), _wake, watched[place], hint)
            _release(loop, watched.pop(path.parent))

    try:
        yield watch
    finally:
        for each in watched.values():
            # not now and not here: if whoever follows was forgotten instead of closed, this is the
            # garbage collection, in any thread and in the middle of anything, such as a lock
            with suppress(RuntimeError):  # the loop is closed, and the process at its end
                loop.call_soon_threadsafe(_release, loop, each)


def _release(loop: asyncio.AbstractEventLoop, growth: Growth) -> None:
    loop.remove_reader(growth.fileno())
    loop.run_in_executor(None, growth.close)  # it takes the kernel some 15 ms


def _wake(growth: Growth, hint: Hint) -> None:
    growth.clear()
    hint.give()
