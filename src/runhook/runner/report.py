"""Telling the server: events with durations, and the log that set-up writes to."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runhook.runner.masked_log import MaskedLog
from runhook.runner.masking import Masker
from runhook.runner.spec import Report, append_report


class StepFailed(Exception):
    """A step of the attempt cannot be done. `reason` is one sentence for people."""

    def __init__(
        self, reason: str, exit_code: int | None = None, signal: int | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = " ".join(reason.split())
        self.exit_code = exit_code
        self.signal = signal


@dataclass
class Bar:
    """A step while it lasts; `note` is shown beside its duration."""

    note: str = ""


class Reporter:
    """Writes to one attempt's directory; the server is only hinted at.

    What `masker` knows is in no event. With `pipe` it is in no log either, which the work then
    does not write itself: see `masked_log`. `log_fd` is where output goes.
    """

    def __init__(
        self,
        directory: Path,
        hint_socket: str | None,
        masker: Masker | None = None,
        *,
        pipe: bool = False,
    ) -> None:
        self._directory = directory
        self._hint_socket = hint_socket
        self._attempt_id = directory.name.encode()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._log = self.log_fd = os.open(directory / "log", flags, 0o600)
        self.masker = masker or Masker([])
        self._masked = MaskedLog(self._log, self.masker, self._tell_lost) if pipe else None
        if self._masked:
            self.log_fd = self._masked.fd
        self.step_name: str | None = None

    def emit(self, kind: str, **data: Any) -> None:
        """Append an event and tell the server that there is one."""
        append_report(self._directory, Report(time.time(), kind, self.masker.mask_value(data)))
        self.hint()

    def log_size(self) -> int:
        """How much is in the log."""
        return os.fstat(self._log).st_size

    def settle(self) -> None:
        """Wait until what was written to `log_fd` is in the log."""
        if self._masked:
            self._masked.settle()

    def close_log(self) -> None:
        """After the work has ended, and all that it started: nothing may be written any more."""
        if self._masked:
            self._masked.close()

    def _tell_lost(self) -> None:
        self.emit("notice", message="a part of the log is missing: it could not be written")

    def hint(self) -> None:
        """Send the attempt's id to the server; whether it hears is of no consequence here."""
        if self._hint_socket is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(self._attempt_id, self._hint_socket)

    @contextmanager
    def step(self, name: str) -> Iterator[Bar]:
        """A named step of the attempt; its failure keeps the name for the result."""
        self.step_name = name
        bar, began, ok = Bar(), time.monotonic(), False
        self.emit("step_started", step=name)
        try:
            yield bar
            ok = True
        finally:
            seconds = round(time.monotonic() - began, 6)
            self.emit("step_finished", step=name, seconds=seconds, ok=ok, note=bar.note)
        self.step_name = None

    def say(self, text: str) -> None:
        """One line of ours in the log, during set-up only."""
        line = f"runhook: {' '.join(text.split())}\n"
        os.write(self.log_fd, self.masker.mask_text(line).encode())
