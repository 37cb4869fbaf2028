"""Control groups: the kernel's own way to bound the processes of an attempt, and to find them all.

Version 2 of the interface where it has the controllers, else version 1 (cgroups(7)); what a machine
lets us do is found out by doing it. A group is called after its attempt and stands below `runhook`,
beside the server's own group, so it ends with neither the server nor the runner.
"""

import hashlib
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PARENT = "runhook"
PERIOD_US = 100_000
CONTROLLERS = ("memory", "pids", "cpu")


@dataclass(frozen=True)
class Group:
    """The directories of one attempt's group: one in version 2, one for each controller in 1."""

    places: Mapping[str, Path]
    version: int

    def limit(self, controller: str, value: float) -> bool:
        """Set a limit: bytes of memory, processes, or cores. False if the machine refuses."""
        place = self.places.get(controller)
        if place is None:
            return False
        try:
            for name, text in _settings(self.version, controller, value):
                (place / name).write_text(text)
        except OSError:
            return False
        return True

    def doors(self) -> list[int]:
        """Open files; a process that writes `0` into each moves in, with what it starts then. To be
        opened before it goes where they are out of sight."""
        flags = os.O_WRONLY | os.O_CLOEXEC
        places = sorted(set(self.places.values()))
        return [os.open(place / "cgroup.procs", flags) for place in places]

    def pids(self) -> list[int]:
        """Every process in it."""
        found: set[int] = set()
        for place in set(self.places.values()):
            with suppress(OSError):
                found.update(map(int, (place / "cgroup.procs").read_text().split()))
        return sorted(found)

    def ran_out_of_memory(self) -> bool:
        """Did the kernel end a process of it because of its memory limit?"""
        place = self.places.get("memory")
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        with suppress(OSError, ValueError):
            if place:
                facts = dict(line.split() for line in (place / name).read_text().splitlines())
                return int(facts.get("oom_kill", "0")) > 0
        return False

    def most_memory(self) -> int | None:
        """The most bytes that its processes had at the same time, if the kernel tells."""
        place = self.places.get("memory")
        name = "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"
        with suppress(OSError, ValueError):
            return int((place / name).read_text()) if place else None
        return None

    def kill(self) -> None:
        """End every process in it at once."""
        for pid in self.pids():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """Take the empty group away; one that is in use stays. Safe to repeat."""
        for place in set(self.places.values()):
            with suppress(OSError):
                place.rmdir()


def _settings(version: int, controller: str, value: float) -> list[tuple[str, str]]:
    """The files to write, in order, and what."""
    whole = str(int(value))
    quota = str(max(1000, int(value * PERIOD_US)))
    match version, controller:
        case 2, "memory":
            return [("memory.max", whole), ("memory.swap.max", "0")]
        case 1, "memory":
            return [("memory.limit_in_bytes", whole)]
        case 2, "cpu":
            return [("cpu.max", f"{quota} {PERIOD_US}")]
        case 1, "cpu":
            return [("cpu.cfs_period_us", str(PERIOD_US)), ("cpu.cfs_quota_us", quota)]
    return [("pids.max", whole)]


def name_of(directory: Path) -> str:
    """What the group of the attempt in this directory is called. The id alone would not do: a
    restored server knows the same attempts, elsewhere on the same machine."""
    mark = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
    return f"{directory.name}-{mark}"


def make(name: str) -> Group | None:
    """A group of that name, new or as it is; None where the machine allows none."""
    for version, parents in ((2, _parents_v2()), (1, _parents_v1())):
        places = {}
        for controller, parent in parents.items():
            with suppress(OSError):
                place = parent / PARENT / name
                place.mkdir(parents=True, exist_ok=True)
                if version == 2:
                    _delegate(parent / PARENT)
                places[controller] = place
        if places:
            return Group(places, version)
    return None


def find(name: str) -> Group | None:
    """The group of that name, if there is one (still)."""
    for version, parents in ((2, _parents_v2()), (1, _parents_v1())):
        places = {
            controller: parent / PARENT / name
            for controller, parent in parents.items()
            if (parent / PARENT / name).is_dir()
        }
        if places:
            return Group(places, version)
    return None


def _parents_v2() -> dict[str, Path]:
    """The server's own group if it has controllers to hand on. A group with processes in it cannot
    hand any on, except for the root (the "no internal processes" rule)."""
    own = ROOT / _own_path("")
    try:
        available = (own / "cgroup.controllers").read_text().split()
        _hand_on(own, available)
    except OSError:
        return {}
    return {name: own for name in CONTROLLERS if name in available}


def _delegate(parent: Path) -> None:
    with suppress(OSError):
        _hand_on(parent, (parent / "cgroup.controllers").read_text().split())


def _hand_on(place: Path, available: list[str]) -> None:
    wanted = [name for name in CONTROLLERS if name in available]
    handed_on = (place / "cgroup.subtree_control").read_text().split()
    missing = [f"+{name}" for name in wanted if name not in handed_on]
    if missing:
        (place / "cgroup.subtree_control").write_text(" ".join(missing))


def _parents_v1() -> dict[str, Path]:
    found = {}
    for name in CONTROLLERS:
        place = ROOT / name
        own = place / _own_path(name)
        if os.access(own, os.W_OK) and (own / "cgroup.procs").exists():
            found[name] = own
        elif os.access(place, os.W_OK) and (place / "cgroup.procs").exists():
            found[name] = place
    return found


def _own_path(controller: str) -> str:
    """Where this process stands in a hierarchy (proc_pid_cgroup(5)); empty is version 2's."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if controller in names.split(",") and bool(controller) == bool(names):
                parts = path.strip("/").split("/")
                below = parts.index(PARENT) if PARENT in parts else len(parts)
                return "/".join(parts[:below])
    return ""
