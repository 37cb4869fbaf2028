"""Locks between attempts, which are separate processes: flock(2) on files of the cache.

A lock ends with the last process that has it, however that ends, so a crash leaves none behind:
that is the runner, and what it starts meanwhile, which may outlive a killed runner and still write.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runhook.runner.process import Control, inherited

FIRST_WAIT, LONGEST_WAIT = 0.001, 0.025


@contextmanager
def locked(path: Path, control: Control, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock `path`, alone or with other sharers; made if absent, with its folder.

    Waiting looks again every few milliseconds instead of sleeping in the kernel, because it has to
    hear a request to stop: then Stopped is raised.
    """
    wait = FIRST_WAIT
    while (descriptor := _take(path, shared)) is None:
        control.check()
        control.pause(wait)
        wait = min(2 * wait, LONGEST_WAIT)
    inherited.add(descriptor)
    try:
        yield
    finally:
        inherited.remove(descriptor)
        os.close(descriptor)


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock alone if nobody else has it; False if somebody has."""
    descriptor = _take(path, shared=False)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _take(path: Path, shared: bool) -> int | None:
    """A descriptor that holds the lock, or None. The holder of a lock may remove its file: whoever
    then got the lock of a file that is no longer there has to try again."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
