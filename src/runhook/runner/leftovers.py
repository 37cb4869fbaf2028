"""Ending what a killed runner left behind.

A runner ends its own tree. One that was killed cannot: what it ran belongs to init then. That is
found by its control group if it had one, by the attempt's directory in its environment, by where it
stands, and by its parents: what such a process started is the attempt's, too.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from runhook.runner import cgroup
from runhook.runner.identity import identity_of, lives, lives_on, stat_fields
from runhook.runner.spec import Identity

GRACE = 2.0
PATIENCE = 20.0
STEP = 0.05


def leftovers(directory: Path) -> list[int]:
    """The pids of everything that still works for the attempt in this directory, other than this
    process."""
    group = cgroup.find(cgroup.name_of(directory))
    grouped = group.pids() if group else []
    numbers = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    found = {*grouped, *(pid for pid in numbers if _works_for(pid, directory))}
    return sorted(_with_descendants(found - {os.getpid()}, numbers))


def _with_descendants(roots: set[int], numbers: list[int]) -> set[int]:
    parents = {pid: int(fields[1]) for pid in numbers if (fields := stat_fields(pid))}
    found = {pid for pid in roots if pid in parents}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid for pid in found if lives_on(pid)}


def end_leftovers(
    directory: Path, grace: float = GRACE, patience: float = PATIENCE
) -> list[Identity]:
    """End them all, politely for `grace` seconds; what cannot be ended, because it waits in the
    kernel or belongs to another user, is left after `patience` more and returned. Safe to repeat.

    Whatever was found once stays found, by its pid and start time: it may be known by a parent that
    ends before it.
    """
    found: dict[int, Identity] = {}
    begun = time.monotonic()
    while living := _living(found, directory):
        passed = time.monotonic() - begun
        if passed >= grace + patience:
            return living
        for identity in living:
            _signal(identity, signal.SIGTERM if passed < grace else signal.SIGKILL)
        time.sleep(STEP)
    group = cgroup.find(cgroup.name_of(directory))
    if group:
        group.remove()
    return []


def _living(found: dict[int, Identity], directory: Path) -> list[Identity]:
    for pid in leftovers(directory):
        identity = identity_of(pid)
        if identity:
            found[pid] = identity
    return [each for each in found.values() if lives(each)]


def _signal(identity: Identity, number: int) -> None:
    """Held by a descriptor before it is looked at again: never another process that has got the
    pid meanwhile."""
    with suppress(ProcessLookupError, PermissionError):
        descriptor = os.pidfd_open(identity.pid)
        try:
            if lives(identity):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _works_for(pid: int, directory: Path) -> bool:
    with suppress(OSError):
        place = os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)")
        if place == str(directory) or place.startswith(f"{directory}/"):
            return True
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return f"RUNHOOK_ARTIFACTS={directory}/artifacts".encode() in variables
    return False
