"""Looking for words or an expression in the whole of a log, from any line on, in either direction.

Words are looked for here, in blocks, ASCII letters without regard to case; what a hit shows on the
screen is compared again, so that no escape sequence is taken for text. An expression of Python can
take for ever on one line, and nothing can interrupt it: so it is tried by another process, which
has a few seconds of CPU and little memory (setrlimit(2)) and is then ended by the kernel.

Either way a search gives up after a while and says where to go on, so none is longer than another;
so it does at the end of what is counted, while a log is still being counted.
"""

import asyncio
import json
import os
import re
import resource
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runhook import logs
from runhook.errors import Invalid
from runhook.log_lines import BLOCK, LONGEST_LINE, NEWLINE, Index, index_of, last_state

LONGEST_WANTED = 200
PATIENCE = 1.5
COUNTING_SECONDS = 8.0
CPU_SECONDS, WALL_SECONDS, MEMORY = 3, 8.0, 1 << 30
SIMPLER = "it took too long: write it simpler, without repeats inside repeats"
ERROR_WORDS = "traceback", "error", "exception", "fatal", "critical", "panic"
ERRORS = rf"(?i:\b({'|'.join(ERROR_WORDS)})\b)|\w(Error|Exception)\b"
"""What usually tells the first thing that went wrong. It is tried here: it repeats nothing."""
ESCAPES = re.compile(
    r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-_])|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_places = asyncio.Semaphore(2)

Matches = Callable[[str], object]


@dataclass(frozen=True)
class Wanted:
    """What to look for, from line `first` on, or `back` from it to the beginning."""

    text: str
    first: int = 1
    back: bool = False
    expression: bool = False


@dataclass(frozen=True)
class Hit:
    """The number of the line that was found, or the one to go on with if there was no more time;
    neither: there is none."""

    line: int | None = None
    resume: int | None = None


def shown(data: bytes) -> str:
    """A line as text: no escape sequences, progress bars as their last state."""
    return ESCAPES.sub("", last_state(data).decode("utf-8", "replace"))


async def search(path: Path, wanted: Wanted) -> Hit:
    """The next line that fits. Invalid, with a sentence, for what cannot be looked for."""
    if not 0 < len(wanted.text) <= LONGEST_WANTED or "\n" in wanted.text:
        raise _invalid(f"write 1 to {LONGEST_WANTED} characters, on one line")
    if not wanted.expression:
        return await asyncio.to_thread(find_words, path, wanted)
    async with _places:
        return await _elsewhere(path, wanted)


async def first_error(path: Path, first: int = 1) -> Hit:
    """The next line that tells of an error."""
    matches = re.compile(ERRORS).search
    return await asyncio.to_thread(find_lines, path, Wanted("", first), matches, _may_tell)


def _may_tell(block: bytes) -> bool:
    """A quick look: expressions are some hundred times slower than plain words."""
    text = block.lower()
    return any(word.encode() in text for word in ERROR_WORDS)


def find_words(path: Path, wanted: Wanted) -> Hit:
    """Block by block; only where the words stand is the line looked at."""
    index, counted = _counted(path, wanted.first)
    if _out_of_reach(index, counted, wanted):
        return Hit(resume=wanted.first)
    limit = time.monotonic() + PATIENCE
    needle = wanted.text.encode().lower()
    offset = index.offset_of(wanted.first + wanted.back)
    while offset > 0 if wanted.back else offset < index.size:
        begin = max(0, offset - BLOCK) if wanted.back else offset
        window = logs.read(path, begin, (offset - begin if wanted.back else BLOCK) + len(needle))
        for place in _places_of(needle, window.lower(), back=wanted.back):
            if time.monotonic() > limit:
                return _pause(index, index.line_at(begin + place), wanted)
            if _shows(index, window, begin, place, wanted):
                return Hit(index.line_at(begin + place))
        if not window:
            break
        offset = begin if wanted.back else begin + BLOCK
        if time.monotonic() > limit:
            return _pause(index, index.line_at(min(offset, index.size)), wanted)
    return _end(index, counted, wanted)


def _pause(index: Index, number: int, wanted: Wanted) -> Hit:
    """Go on with line `number`, but never with the one it began with: whoever asked would ask for
    ever. Such a line is longer than there was time for, so what is seen of it decides."""
    if number > wanted.first if not wanted.back else number < wanted.first:
        return Hit(resume=number)
    if wanted.text.lower() in shown(_line(index, wanted.first)).lower():
        return Hit(wanted.first)
    onwards = wanted.first + (-1 if wanted.back else 1)
    return Hit(resume=onwards) if onwards >= 1 else Hit()


def _shows(index: Index, window: bytes, begin: int, place: int, wanted: Wanted) -> bool:
    """Is what stands there one of the lines in question, and to be seen on it?"""
    start, end = window.rfind(NEWLINE, 0, place) + 1, window.find(NEWLINE, place)
    number = None
    if not start or end < 0:  # the line goes beyond the window, in which there may be others
        number = index.line_at(begin + place)
        line = _line(index, number)
    else:
        line = window[start:end]
    if wanted.text.lower() not in shown(line).lower():
        return False
    number = number or index.line_at(begin + place)
    return number <= wanted.first if wanted.back else number >= wanted.first


def _places_of(needle: bytes, window: bytes, *, back: bool) -> Iterator[int]:
    """Where it stands, once for each line; from the end if `back`."""
    at = window.rfind(needle) if back else window.find(needle)
    while at >= 0:
        yield at
        if back:
            at = window.rfind(needle, 0, max(0, window.rfind(NEWLINE, 0, at)))
        else:
            newline = window.find(NEWLINE, at)
            at = window.find(needle, newline) if newline >= 0 else -1


def find_lines(
    path: Path, wanted: Wanted, matches: Matches, may_hold: Callable[[bytes], bool] | None = None
) -> Hit:
    """Line by line: for what has to see each of them. Blocks that cannot hold it, if somebody can
    say so, are passed over."""
    index, counted = _counted(path, wanted.first)
    return _by_line(index, counted, wanted, matches, may_hold)


def _by_line(
    index: Index,
    counted: bool,
    wanted: Wanted,
    matches: Matches,
    may_hold: Callable[[bytes], bool] | None = None,
) -> Hit:
    if _out_of_reach(index, counted, wanted):
        return Hit(resume=wanted.first)
    limit = time.monotonic() + PATIENCE
    step = -1 if wanted.back else 1
    number = min(wanted.first, index.total) if wanted.back else wanted.first
    while 1 <= number <= index.total:
        block = _block(index, number, wanted.back)
        if may_hold and not may_hold(NEWLINE.join(block)):
            number += step * len(block)
            block = []
        for data in block:
            if matches(shown(data[:LONGEST_LINE])):
                return Hit(number)
            number += step
        if time.monotonic() > limit and 1 <= number <= index.total:
            return Hit(resume=number)
    return _end(index, counted, wanted)


def _block(index: Index, number: int, back: bool) -> list[bytes]:
    """Some lines from `number` on, in the order of the search; at least one."""
    if not back:
        offset = index.offset_of(number)
        whole = logs.read(index.path, offset, min(BLOCK, index.size - offset)).split(NEWLINE)
        return whole[:-1] if len(whole) > 1 else [_line(index, number)]
    end = index.offset_of(number + 1)
    begin = max(0, end - BLOCK)
    whole = logs.read(index.path, begin, end - begin).removesuffix(NEWLINE).split(NEWLINE)
    whole = whole if begin == 0 else whole[1:]
    return whole[::-1] if whole else [_line(index, number)]


def _line(index: Index, number: int) -> bytes:
    """The line, of a very long one its beginning or the last state of a progress bar."""
    offset = index.offset_of(number)
    end = index.offset_of(number + 1) - (number <= index.newlines)
    if end - offset > BLOCK:
        tail = logs.read(index.path, end - LONGEST_LINE, LONGEST_LINE)
        return tail if b"\r" in tail else logs.read(index.path, offset, LONGEST_LINE)
    return logs.read(index.path, offset, end - offset)


def _counted(path: Path, first: int) -> tuple[Index, bool]:
    """The index, and whether it knows all of the log: for some seconds it is counted until the line
    to begin with is known."""
    index, limit = index_of(path), time.monotonic() + COUNTING_SECONDS
    while not (counted := index.extend()) and index.total <= first and time.monotonic() < limit:
        pass
    return index, counted


def _out_of_reach(index: Index, counted: bool, wanted: Wanted) -> bool:
    """Is the line to begin with not counted yet?"""
    return not counted and index.total <= wanted.first


def _end(index: Index, counted: bool, wanted: Wanted) -> Hit:
    """Nothing was found in what is counted; the last line of it may not have been complete."""
    return Hit() if counted or wanted.back else Hit(resume=index.total)


def _invalid(sentence: str) -> Invalid:
    return Invalid("cannot look for this", details={"text": sentence})


async def _elsewhere(path: Path, wanted: Wanted) -> Hit:
    """The same by a process of its own, which hears what to do on its standard input, and what is
    counted: it would count a long log for longer than it may live."""
    index, counted = await asyncio.to_thread(_counted, path, wanted.first)
    task = {"wanted": asdict(wanted), "index": _packed(index), "counted": counted}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runhook.log_search"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(WALL_SECONDS):
            out, _ = await process.communicate(json.dumps(task).encode())
    except TimeoutError:
        raise _invalid(SIMPLER) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise _invalid(SIMPLER)
    answer = json.loads(out)
    if "wrong" in answer:
        raise _invalid(f"it is no regular expression: {answer['wrong']}")
    return Hit(**answer)


def _packed(index: Index) -> dict[str, Any]:
    with index.lock:
        return {
            "path": os.fspath(index.path),
            "before": index.before.tolist(),
            "size": index.size,
            "newlines": index.newlines,
            "open": index.open,
        }


def _unpacked(packed: dict[str, Any]) -> Index:
    known = {"path": Path(packed["path"]), "before": array("Q", packed["before"])}
    return Index(**{**packed, **known})


def main() -> None:
    """The other process: one search, within its limits."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    task = json.load(sys.stdin)
    index, wanted = _unpacked(task["index"]), Wanted(**task["wanted"])
    try:
        matches = re.compile(wanted.text, re.IGNORECASE).search
    except (re.error, OverflowError, RecursionError) as error:
        print(json.dumps({"wrong": str(error)}))
        return
    print(json.dumps(asdict(_by_line(index, task["counted"], wanted, matches))))


if __name__ == "__main__":
    main()
