"""The one place of the runner that spawns, waiting for what it spawned, and when to stop."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from runhook.runner.limits import Bounds
from runhook.runner.report import StepFailed
from runhook.runner.sandbox import Confinement, confined
from runhook.runner.spec import LimitsSpec
from runhook.runner.tree import Ending, become_subreaper, end_tree, poll

LONGEST_CAPTURE = 64 * 1024 * 1024
TAIL = 8 * 1024
INDEX_SECONDS = 0.02

Process = subprocess.Popen[bytes]

inherited: set[int] = set()
"""Descriptors that every program gets: the locks under which it works. So a lock outlasts a killed
runner for just as long as the program that it started still writes."""


@dataclass(frozen=True)
class Stop:
    """Why an attempt has to end now, and as what; there is a reason unless somebody wished it."""

    outcome: Literal["cancelled", "timed_out", "failed"]
    reason: str | None = None


class Stopped(Exception):
    """The attempt is to end: somebody asked for it, its time is over, or it used too much."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.outcome)
        self.stop = stop


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

    @property
    def told(self) -> str:
        """`exited with status 3`, or `was ended by signal 9 (SIGKILL)`: not all have names."""
        if self.signal is None:
            return f"exited with status {self.code}"
        names = {each.value: each.name for each in signal.Signals}
        return f"was ended by signal {self.signal} ({names.get(self.signal, 'no name')})"


class Observer(Protocol):
    """Something to be served while a process is waited for."""

    def fileno(self) -> int: ...

    def ready(self) -> None: ...


class Control:
    """Requests to stop, deadlines, and other limits of the attempt.

    `grace` is how many seconds a process tree gets after SIGINT, and again after SIGTERM.
    `confinement` is where the work is put, once there is such a place.
    """

    def __init__(self, grace: float, bounds: Bounds | None = None) -> None:
        self.grace = grace
        self.bounds = bounds or Bounds(LimitsSpec(), Path())
        self.confinement: Confinement | None = None
        self._deadlines: list[tuple[float, str]] = []
        self._requested = False
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)
        become_subreaper()
        if self.bounds.limits.time is not None:
            self._limit("the run", self.bounds.limits.time)

    def _request(self, number: int, frame: object) -> None:
        self._requested = True
        with suppress(BlockingIOError):
            os.write(self._write, b"x")

    def _limit(self, what: str, seconds: float) -> None:
        reason = f"{what} took longer than its limit of {seconds:g} seconds"
        self._deadlines.append((time.monotonic() + seconds, reason))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step of the attempt, within its own limit of time if it has one."""
        outer = list(self._deadlines)
        limit = self.bounds.limits.steps.get(name)
        if limit is not None:
            self._limit(f"the step {name}", limit)
        try:
            yield
        finally:
            self._deadlines = outer

    @property
    def enter(self) -> Callable[[], None] | None:
        """For a forked process to call before it becomes the work, if it has to."""
        if self.confinement is None and not self.bounds.grouped:
            return None
        return confined(self.confinement, self.bounds.doors)

    def fileno(self) -> int:
        """Readable once a stop was asked for."""
        return self._read

    def due(self) -> Stop | None:
        """Why the attempt has to end now, if it has to."""
        if self._requested:
            return Stop("cancelled")
        now = time.monotonic()
        late = [reason for at, reason in self._deadlines if now >= at]
        if late:
            return Stop("timed_out", late[0])
        exceeded = self.bounds.exceeded()
        return Stop("failed", exceeded) if exceeded else None

    def seconds_left(self) -> float | None:
        """Until `due` is to be asked again, whatever is told meanwhile; None if that is enough."""
        now = time.monotonic()
        waits = [max(0.0, at - now) for at, _ in self._deadlines]
        if self.bounds.pause is not None:
            waits.append(self.bounds.pause)
        return min(waits, default=None)

    def pause(self, seconds: float) -> None:
        """Wait so long, or until a stop is asked for."""
        poll([self._read], seconds)

    def check(self) -> None:
        """Raise Stopped if the attempt has to end."""
        stop = self.due()
        if stop:
            end_tree(self.grace)
            raise Stopped(stop)


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
    with spawn(argv, cwd, env, output, output, control.enter) as process:
        _wait_or_end(process, control, timeout, observer, argv[0])
    return exit_of(process)


def capture(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: int,
    control: Control,
    timeout: float | None = None,
    mask: Callable[[bytes], bytes] = bytes,
    confinement: Confinement | None = None,
) -> tuple[Exit, bytes]:
    """The same for a program of set-up, which is not in the work's place and limits: what it writes
    to stdout is returned, up to 64 MiB, and of its stderr, which goes through `mask` to `output`,
    the tail is kept in the answer."""
    enter = confined(confinement, list) if confinement else None
    reads, writes = os.memfd_create("stdout"), os.memfd_create("stderr")
    try:
        try:
            with spawn(argv, cwd, env, reads, writes, enter) as process:
                _wait_or_end(process, control, timeout, None, argv[0])
        finally:
            errors = mask(os.pread(writes, LONGEST_CAPTURE, 0))
            if errors:
                os.write(output, errors)
        ended = exit_of(process)
        text = errors[-TAIL:].decode("utf-8", "replace")
        return Exit(ended.code, ended.signal, text), os.pread(reads, LONGEST_CAPTURE, 0)
    finally:
        os.close(reads)
        os.close(writes)


def spawn(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    stdout: int,
    stderr: int,
    enter: Callable[[], None] | None,
) -> Process:
    """Start a program; `enter` is called on the way (`Control.enter`). StepFailed if it cannot be
    started. Whoever starts one ends its tree, and takes its end with `exit_of`."""
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
            preexec_fn=enter,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StepFailed(f"cannot start {argv[0]}: {error}") from None


def exit_of(process: Process) -> Exit:
    """How it ended; waits for that."""
    code = process.wait()
    return Exit(code, None) if code >= 0 else Exit(None, -code)


def _wait_or_end(
    process: Process,
    control: Control,
    timeout: float | None,
    observer: Observer | None,
    name: str,
) -> None:
    """Whatever stops the waiting ends the tree: leaving `with Popen` would wait without a limit."""
    try:
        _wait(process, control, timeout, observer, name)
    except BaseException:
        end_tree(control.grace)
        raise


def _wait(
    process: Process,
    control: Control,
    timeout: float | None,
    observer: Observer | None,
    name: str,
) -> None:
    """Return when the process has ended; nothing is polled, everything tells."""
    limit = None if timeout is None else time.monotonic() + timeout
    with Ending(process.pid) as ended:
        while True:
            left = None if limit is None else max(0.0, limit - time.monotonic())
            waits = [wait for wait in (left, control.seconds_left()) if wait is not None]
            wait = min(waits, default=None)
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
