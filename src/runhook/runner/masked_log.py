"""The log of a run that has secrets: its output comes by a pipe, is masked, and only then written.

Runs without secrets write straight into their log; here a thread reads whatever is there in large
pieces, never by lines. It never stops reading, so that no write of the work waits for more than the
masking; what cannot be written, because the disk is full, is left out. If the runner is killed the
pipe goes with it, and what was in it: nothing unmasked is ever in a file.
"""

import array
import fcntl
import os
import select
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from runhook.runner.masking import Masker, Stream

PIECE = 256 * 1024
PIPE_BYTES = 1024 * 1024
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, see fcntl(2); Linux
SETTLE_SECONDS = 2.0
DRAIN_SECONDS = 5.0


class MaskedLog:
    """`fd` is to be written to; everything arrives masked in `log`, a descriptor opened to append.

    `lost` is called once, if some of it could not be written.
    """

    def __init__(self, log: int, masker: Masker, lost: Callable[[], None]) -> None:
        self._log = log
        self._stream = Stream(masker)
        self._lost = lost
        self._losing = False
        self._pipe, self.fd = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):  # beyond what the machine allows: smaller will do
            fcntl.fcntl(self.fd, SET_PIPE_SIZE, PIPE_BYTES)
        self._stop, self._stopped = os.pipe2(os.O_CLOEXEC)
        self._turn = threading.Condition()
        self._busy = False
        self._limit = float("inf")
        self._thread = threading.Thread(target=self._pump, name="masking", daemon=True)
        self._thread.start()

    def settle(self) -> None:
        """Wait until what was written so far is in the log, but for an end that may be the
        beginning of a secret; not for long."""
        with self._turn:
            self._turn.wait_for(self._is_idle, SETTLE_SECONDS)

    def close(self) -> None:
        """The work has ended: bring what is left to the log. What still holds the pipe, because
        nothing can end it, is not waited for, and not heard any more."""
        os.close(self.fd)
        self._limit = time.monotonic() + DRAIN_SECONDS
        os.close(self._stopped)
        self._thread.join(2 * DRAIN_SECONDS)
        if not self._thread.is_alive():
            os.close(self._stop)

    def _is_idle(self) -> bool:
        return not self._busy and _waiting(self._pipe) == 0

    def _pump(self) -> None:
        """Until nobody can write any more, or it is closed and empty, or its time is over."""
        os.set_blocking(self._pipe, False)
        poller = select.poll()
        poller.register(self._pipe, select.POLLIN)
        poller.register(self._stop, select.POLLIN)
        try:
            while time.monotonic() < self._limit:
                ready = dict(poller.poll())
                if self._pipe not in ready or not self._take():
                    break
            self._append(self._stream.flush())
        finally:  # whoever still writes is told so, instead of waiting for ever
            os.close(self._pipe)

    def _take(self) -> bool:
        """A piece, from the pipe to the log; False at the end."""
        with self._turn:
            self._busy = True
        try:
            piece = os.read(self._pipe, PIECE)
            if piece:
                self._append(self._stream.feed(piece))
            return bool(piece)
        except BlockingIOError:
            return True
        finally:
            with self._turn:
                self._busy = False
                self._turn.notify_all()

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._log, rest) :]
        except OSError:
            if not self._losing:
                self._losing = True
                self._lost()


def _waiting(descriptor: int) -> int:
    """How many bytes stand in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
