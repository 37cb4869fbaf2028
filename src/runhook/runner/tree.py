"""The processes of an attempt, and the one place of the runner that kills.

The runner is the subreaper of everything it starts (prctl(2), Linux): a daemon that leaves its
parents behind becomes the runner's own child, so walking from child to child finds all of them.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from runhook.runner.identity import identity_of, lives, lives_on
from runhook.runner.spec import Identity

PR_SET_CHILD_SUBREAPER = 36
KILLS = 40

strangers: set[int] = set()
"""Children that this process had before it began with an attempt; a runner has none."""
bystanders: set[int] = set()
"""Processes that hold the boxes of the attempt: not of the work, which may be below them."""
roots: set[Identity] = set()
"""Guards of kernels that were forked elsewhere: what is below them is the attempt's."""
inits: set[int] = set()
"""The first process of each box: with it the kernel kills all that is in the box, at once
(pid_namespaces(7))."""


def become_subreaper() -> None:
    """Adopt the orphans among our descendants. Linux only; elsewhere a daemon may escape."""
    strangers.update(_children(os.getpid()))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_tree(grace: float) -> None:
    """End every descendant: SIGINT, `grace` seconds, SIGTERM, `grace` seconds, SIGKILL."""
    for number in (signal.SIGINT, signal.SIGTERM):
        _signal_all(number)
        if _gone_within(grace):
            return
    _kill_all()


def end_descendants(grace: float) -> None:
    """End what the work left behind: SIGTERM, up to `grace` seconds, SIGKILL."""
    if not descendants():
        return
    _signal_all(signal.SIGTERM)
    if not _gone_within(grace):
        _kill_all()


def interrupt_descendants() -> None:
    """SIGINT to every descendant, as Ctrl-C does."""
    _signal_all(signal.SIGINT)


@contextmanager
def descendants_stopped() -> Iterator[None]:
    """Have every descendant stand still meanwhile, as far as that may be signalled, also those that
    others had just started (signal(7), SIGSTOP)."""
    stopped: dict[int, Identity] = {}
    try:
        for _ in range(KILLS):
            fresh = {pid: identity_of(pid) for pid in descendants() if pid not in stopped}
            if not fresh:
                break
            for pid, identity in fresh.items():
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGSTOP)
                if identity:
                    stopped[pid] = identity
        yield
    finally:
        for pid, identity in stopped.items():
            with suppress(ProcessLookupError, PermissionError):
                if lives(identity):
                    os.kill(pid, signal.SIGCONT)


def _kill_all() -> None:
    """Until nothing is left: what forks faster than it dies is killed again. What cannot be killed
    (it waits in the kernel, or is not ours) is not waited for without end."""
    for pid in inits:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    for _ in range(KILLS):
        if not descendants():
            return
        _signal_all(signal.SIGKILL)
        _gone_within(0.5)


def descendants() -> list[int]:
    """The pids of all living descendants that the attempt has, parents before children."""
    return below([os.getpid(), *(root.pid for root in roots if lives(root))])


def below(pids: Sequence[int]) -> list[int]:
    """The pids of all living descendants of these processes that are the attempt's."""
    found: list[int] = []
    next_ones = list(pids)
    while next_ones:
        children = set(_children(next_ones.pop())) - strangers
        found += [pid for pid in children - bystanders if lives_on(pid)]
        next_ones += children
    return found


def _children(pid: int) -> list[int]:
    """What each thread of the process has started or adopted (proc(5), `children`)."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            text = Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="ascii")
            found += map(int, text.split())
    return found


def _signal_all(number: int) -> None:
    for pid in descendants():
        with suppress(ProcessLookupError, PermissionError):  # setuid: nobody's to end but root's
            os.kill(pid, number)


def _gone_within(seconds: float) -> bool:
    """Wait until no descendant lives, at most so long."""
    limit = time.monotonic() + seconds
    while living := descendants():
        left = limit - time.monotonic()
        if left <= 0:
            return False
        with Ending(living[0]) as ended:
            poll([ended.fileno()], left)
    return True


class Ending:
    """A descriptor that becomes readable when the process ends (pidfd_open(2))."""

    def __init__(self, pid: int) -> None:
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._descriptor = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        return self._descriptor

    def __enter__(self) -> "Ending":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)


def ended_within(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Wait for the end of a child, at most so long; told by the kernel, where Python's own way
    sleeps by a clock that somebody may set."""
    with Ending(process.pid) as ended:
        if not poll([ended.fileno()], seconds):
            return False
    process.wait()
    return True


def poll(descriptors: list[int], wait: float | None) -> set[int]:
    """Which descriptors are readable, at the latest after `wait` seconds (None: for ever)."""
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    return {fd for fd, _ in poller.poll(None if wait is None else wait * 1000 + 1)}
