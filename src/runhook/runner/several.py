"""Several commands of one attempt beside each other: each with its rank, all in one log.

Every line of a command's output begins with its rank, `[0] …`; a command that is alone writes its
log itself, without. What is written without an end of the line waits for it, or for the command's.
"""

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from runhook.runner.masking import Masker, Stream
from runhook.runner.process import INDEX_SECONDS, Control, Exit, Process, exit_of
from runhook.runner.report import Reporter, StepFailed
from runhook.runner.tree import Ending, end_tree, poll

MOST_AT_ONCE = 256
"""Commands at the same time: each takes two descriptors of the runner."""
PIECE = 64 * 1024
MOST_PIECES = 32
LONGEST_SHOWN = 200
MOST_NAMED = 5

Start = Callable[[int, int], Process]
"""Start the command of a rank, with its output going to a descriptor."""


class Prefixed:
    """Output as it comes, in pieces, to whole lines with the rank in front of each. It is masked
    before, so that no secret of several lines is cut by what stands in front of them."""

    def __init__(self, rank: int, masker: Masker) -> None:
        self._mark = b"[%d] " % rank
        self._stream = Stream(masker)
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """The lines that are complete now; one that is longer than a piece is cut."""
        return self._lines(self._stream.feed(piece))

    def flush(self) -> bytes:
        """What is left, as a line."""
        out = self._lines(self._stream.flush())
        rest, self._rest = self._rest, b""
        return out + (self._mark + rest + b"\n" if rest else b"")

    def _lines(self, data: bytes) -> bytes:
        """A carriage return ends a line, too, for a terminal that draws progress in one."""
        lines = (self._rest + data).replace(b"\r\n", b"\n").splitlines(keepends=True)
        self._rest = b""
        if lines and not lines[-1].endswith(b"\n"):  # also a return that a newline may follow
            self._rest = lines.pop()
        if len(self._rest) > PIECE:
            lines, self._rest = [*lines, self._rest + b"\n"], b""
        return b"".join(self._mark + line for line in lines)


@dataclass
class _Instance:
    """A command while it runs: its output comes by `pipe`, which it may have closed."""

    rank: int
    process: Process
    ending: Ending
    pipe: int
    lines: Prefixed
    closed: bool = False


class Several:
    """Runs `commands`, at most `at_once` at the same time; `wrote` is called when the log grew."""

    def __init__(
        self,
        commands: Sequence[str],
        at_once: int,
        start: Start,
        reporter: Reporter,
        control: Control,
        wrote: Callable[[], None],
    ) -> None:
        if at_once > MOST_AT_ONCE and len(set(commands)) == 1:
            raise StepFailed(
                f"cannot run the command {at_once} times at once: {MOST_AT_ONCE} is the most here"
            )
        self._commands, self._start = commands, start
        self._places = min(at_once, MOST_AT_ONCE)
        self._reporter, self._control, self._wrote = reporter, control, wrote
        self._waiting = deque(range(len(commands)))
        self._living: list[_Instance] = []
        self._endings: dict[int, Exit] = {}

    def run(self) -> dict[int, Exit]:
        """How each ended, by rank. Raises Stopped once all are gone, if the attempt has to end."""
        try:
            while self._waiting or self._living:
                self._fill()
                self._serve()
        except BaseException:
            end_tree(self._control.grace)
            raise
        finally:
            for each in list(self._living):
                self._end(each)
        return self._endings

    def _fill(self) -> None:
        """Start the next ones while there is a place."""
        while self._waiting and len(self._living) < self._places:
            rank = self._waiting.popleft()
            shown = " ".join(self._commands[rank].split())[:LONGEST_SHOWN]
            self._say(f"rank {rank} of {len(self._commands)} begins: {shown}")
            reads, writes = os.pipe2(os.O_CLOEXEC)
            try:
                process = self._start(rank, writes)
            except BaseException:
                os.close(reads)
                raise
            finally:
                os.close(writes)
            os.set_blocking(reads, False)
            lines = Prefixed(rank, self._reporter.masker)
            self._living.append(_Instance(rank, process, Ending(process.pid), reads, lines))

    def _serve(self) -> None:
        """Wait for something, and see to it. Output is taken at most every 20 ms."""
        pipes = {each.pipe for each in self._living if not each.closed}
        news = [*(each.ending.fileno() for each in self._living), self._control.fileno()]
        ready = poll([*news, *pipes], self._control.seconds_left())
        if ready and ready <= pipes:
            ready |= poll(news, INDEX_SECONDS)
        for each in list(self._living):
            if each.ending.fileno() in ready:
                self._end(each)
            elif each.pipe in ready:
                self._take(each)
        self._wrote()
        self._control.check()

    def _take(self, instance: _Instance) -> None:
        """What stands in the pipe, to the log; of one that never stops writing not all at once."""
        for _ in range(MOST_PIECES):
            try:
                piece = os.read(instance.pipe, PIECE)
            except BlockingIOError:
                return
            if not piece:
                instance.closed = True
                return
            self._write(instance.lines.feed(piece))

    def _end(self, instance: _Instance) -> None:
        """Take its end, and its last words. Whoever it left behind is not heard any more."""
        ended = self._endings[instance.rank] = exit_of(instance.process)
        self._living.remove(instance)
        self._take(instance)
        self._write(instance.lines.flush())
        os.close(instance.pipe)
        instance.ending.close()
        self._say(f"rank {instance.rank} {ended.told}")

    def _say(self, text: str) -> None:
        with suppress(OSError):  # a full disk costs the line, not the run
            self._reporter.say(text)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        with suppress(OSError):
            while rest:
                rest = rest[os.write(self._reporter.log_fd, rest) :]


def failure_of(failed: Mapping[int, StepFailed], many: int) -> StepFailed:
    """Which of `many` failed, by rank, and how; the code and signal are those of the first."""
    first = failed[min(failed)]
    named = [f"rank {rank} ({failed[rank].reason})" for rank in sorted(failed)[:MOST_NAMED]]
    rest = len(failed) - len(named)
    more = f" and {rest} more" if rest else ""
    reason = f"{len(failed)} of {many} commands failed: {', '.join(named)}{more}"
    return StepFailed(reason, first.exit_code, first.signal)
