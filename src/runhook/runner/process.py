"""The one place of the runner that spawns, waiting for what it spawned, and when to stop."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from runhook.runner.report import StepFailed
from runhook.runner.tree import Ending, become_subreaper, end_tree, poll

LONGEST_CAPTURE = 64 * 1024 * 1024
TAIL = 8 * 1024
INDEX_SECONDS = 0.02

inherited: set[int] = set()
"""Descriptors that every program gets: the locks under which it works. So a lock outlasts a killed
runner for just as long as the program that it started still writes."""


class Stopped(Exception):
    """The attempt is to end: somebody asked for it, or its time is over."""

    def __init__(self, outcome: Literal["cancelled", "timed_out"]) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass(frozen=True)
class Exit:
    """How a process ended: with a code, or by a signal. `errors` is the tail of its stderr, where
    that was asked for."""

    code: int | None
    signal: int | None
    errors: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0


class Observer(Protocol):
    """Something to be served while a process is waited for."""

    def fileno(self) -> int: ...

    def ready(self) -> None: ...


class Control:
    """Requests to stop, and the deadline of the attempt (`time.monotonic()`, None: never).

    `grace` is how many seconds a process tree gets after SIGINT, and again after SIGTERM.
    """

    def __init__(self, grace: float, deadline: float | None = None) -> None:
        self.grace = grace
        self.deadline = deadline
        self._requested = False
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)
        become_subreaper()

    def _request(self, number: int, frame: object) -> None:
        self._requested = True
        with suppress(BlockingIOError):
            os.write(self._write, b"x")

    def fileno(self) -> int:
        """Readable once a stop was asked for."""
        return self._read

    def due(self) -> Literal["cancelled", "timed_out"] | None:
        """Why the attempt has to end now, if it has to."""
        if self._requested:
            return "cancelled"
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return "timed_out" if late else None

    def seconds_left(self) -> float | None:
        """Until the deadline; None if there is none."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Wait so long, or until a stop is asked for."""
        poll([self._read], seconds)

    def check(self) -> None:
        """Raise Stopped if the attempt has to end."""
        outcome = self.due()
        if outcome:
            end_tree(self.grace)
            raise Stopped(outcome)


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: int,
    control: Control,
    timeout: float | None = None,
    observer: Observer | None = None,
) -> Exit:
    """Run a program to its end with both its streams going to `output`.

    Raises Stopped once its whole tree is gone, if the attempt has to end; StepFailed if it cannot
    be started, or took longer than `timeout` seconds (then its tree is ended too).
    """
    with _spawn(argv, cwd, env, output, output) as process:
        _wait(process, control, timeout, observer, argv[0])
    return _exit(process)


def capture(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: int,
    control: Control,
    timeout: float | None = None,
) -> tuple[Exit, bytes]:
    """The same, but what it writes to stdout is returned, up to 64 MiB, and of its stderr, which
    goes to `output`, the tail is kept in the answer."""
    reads, writes = os.memfd_create("stdout"), os.memfd_create("stderr")
    try:
        try:
            with _spawn(argv, cwd, env, reads, writes) as process:
                _wait(process, control, timeout, None, argv[0])
        finally:
            errors = os.pread(writes, LONGEST_CAPTURE, 0)
            if errors:
                os.write(output, errors)
        ended = _exit(process)
        text = errors[-TAIL:].decode("utf-8", "replace")
        return Exit(ended.code, ended.signal, text), os.pread(reads, LONGEST_CAPTURE, 0)
    finally:
        os.close(reads)
        os.close(writes)


def _spawn(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], stdout: int, stderr: int
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            pass_fds=tuple(inherited),
        )
    except OSError as error:
        raise StepFailed(f"cannot start {argv[0]}: {error.strerror}") from None


def _exit(process: subprocess.Popen[bytes]) -> Exit:
    code = process.wait()
    return Exit(code, None) if code >= 0 else Exit(None, -code)


def _wait(
    process: subprocess.Popen[bytes],
    control: Control,
    timeout: float | None,
    observer: Observer | None,
    name: str,
) -> None:
    """Return when the process has ended; nothing is polled, everything tells."""
    limit = None if timeout is None else time.monotonic() + timeout
    ends = [at for at in (limit, control.deadline) if at is not None]
    with Ending(process.pid) as ended:
        while True:
            wait = max(0.0, min(ends) - time.monotonic()) if ends else None
            ready = _select([ended.fileno(), control.fileno()], observer, wait)
            if ended.fileno() in ready:
                break
            control.check()
            if limit is not None and time.monotonic() >= limit:
                end_tree(control.grace)
                raise StepFailed(f"{Path(name).name} took longer than {timeout:g} seconds")
    if observer:
        observer.ready()


def _select(descriptors: list[int], observer: Observer | None, wait: float | None) -> set[int]:
    """Which descriptors are readable. The observer is served, at most every 20 ms."""
    if observer is None:
        return poll(descriptors, wait)
    ready = poll([*descriptors, observer.fileno()], wait)
    if ready == {observer.fileno()}:
        observer.ready()
        pause = INDEX_SECONDS if wait is None else min(wait, INDEX_SECONDS)
        return poll(descriptors, pause)
    return ready
