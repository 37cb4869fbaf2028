"""What an attempt may use: set where the kernel can hold it, watched where it cannot.

Memory, processes and cores are bounded by a control group, made only if one of them is limited,
since entering one may take the kernel 25 ms. Where there is none, memory and processes are looked
at twice a second, and cores are not bounded, which is said. The log and the files are always looked
at.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runhook.runner import cgroup
from runhook.runner.spec import LimitsSpec
from runhook.runner.tree import descendants

PAUSE = 0.5
DISK_PAUSE, DISK_SHARE = 2.0, 20
"""Files are walked at most every two seconds, and for at most a twentieth of the time."""
PAGE = os.sysconf("SC_PAGE_SIZE")
GROUPED = {"memory": "memory", "processes": "pids", "cpus": "cpu"}


class Bounds:
    """The limits of one attempt. `enforced` and `not_enforced` are sentences about each."""

    def __init__(self, limits: LimitsSpec, directory: Path) -> None:
        self.limits = limits
        self.enforced: list[str] = []
        self.not_enforced: list[str] = []
        self._directory = directory
        self._group = self._grouped()
        self._watches = list(self._watched())
        self._disk_looked_at = -DISK_PAUSE
        self._disk_pause = DISK_PAUSE
        self._disk = 0

    @property
    def grouped(self) -> bool:
        """Does a control group hold any of them?"""
        return self._group is not None

    def doors(self) -> list[int]:
        """What a process is to sign, with a `0`, before it becomes the work (`Group.doors`)."""
        return self._group.doors() if self._group else []

    @property
    def pause(self) -> float | None:
        """Seconds until `exceeded` is to be asked again; None if nothing has to be looked at."""
        return PAUSE if self._watches else None

    def exceeded(self) -> str | None:
        """Which limit the attempt is beyond, in a sentence."""
        return next((sentence for watch in self._watches if (sentence := watch())), None)

    def explain(self) -> str | None:
        """Why the kernel ended a process of the work, if it was because of its memory."""
        if self._group is None or not self._group.ran_out_of_memory():
            return None
        most = self._group.most_memory() or self.limits.memory or 0
        limit = shown(self.limits.memory or 0)
        return f"out of memory: used {shown(max(most, self.limits.memory or 0))} of {limit}"

    def close(self) -> None:
        """Take the group away, once nothing lives in it."""
        if self._group:
            self._group.kill()
            self._group.remove()

    def _grouped(self) -> cgroup.Group | None:
        wanted = {name: getattr(self.limits, name) for name in GROUPED}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        group = cgroup.make(cgroup.name_of(self._directory)) if wanted else None
        for name, value in wanted.items():
            if group and group.limit(GROUPED[name], value):
                self.enforced.append(f"{_words(name, value)} (control group)")
        return group

    def _watched(self) -> Iterator[Callable[[], str | None]]:
        limits, held = self.limits, " ".join(self.enforced)
        if limits.memory is not None and "memory" not in held:
            self.enforced.append(f"{_words('memory', limits.memory)} (looked at twice a second)")
            yield self._memory
        if limits.processes is not None and "processes" not in held:
            words = _words("processes", limits.processes)
            self.enforced.append(f"{words} (looked at twice a second)")
            yield self._processes
        if limits.cpus is not None and "cores" not in held:
            self.not_enforced.append(
                f"{_words('cpus', limits.cpus)}: this machine lets us make no control group for it"
            )
        if limits.output is not None:
            self.enforced.append(_words("output", limits.output))
            yield self._output
        if limits.disk is not None:
            self.enforced.append(_words("disk", limits.disk))
            yield self._files

    def _memory(self) -> str | None:
        used = sum(_resident(pid) for pid in descendants())
        limit = self.limits.memory or 0
        return f"out of memory: used {shown(used)} of {shown(limit)}" if used > limit else None

    def _processes(self) -> str | None:
        count = sum(_threads(pid) for pid in descendants())
        limit = self.limits.processes or 0
        return (
            f"it had {count} processes, more than its limit of {limit}" if count > limit else None
        )

    def _output(self) -> str | None:
        size = (self._directory / "log").stat().st_size
        limit = self.limits.output or 0
        return f"the log grew beyond its limit of {shown(limit)}" if size > limit else None

    def _files(self) -> str | None:
        now = time.monotonic()
        if now - self._disk_looked_at >= self._disk_pause:
            self._disk = allocated(self._directory)
            self._disk_looked_at = time.monotonic()
            self._disk_pause = max(DISK_PAUSE, DISK_SHARE * (self._disk_looked_at - now))
        limit = self.limits.disk or 0
        if self._disk <= limit:
            return None
        return f"its files took {shown(self._disk)}, more than their limit of {shown(limit)}"


def _words(name: str, value: float) -> str:
    match name:
        case "processes":
            return f"{value:g} processes"
        case "cpus":
            return f"{value:g} cores"
    return f"{name} {shown(value)}"


def shown(count: float) -> str:
    """`2100000000` → `2.1 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, ValueError, IndexError):
        return 0


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def allocated(directory: Path) -> int:
    """Bytes that the files below take, following no links; a file with two names counts once."""
    seen: set[int] = set()
    total = 0
    for root, folders, files in os.walk(directory):
        for name in (*folders, *files):
            try:
                status = os.lstat(os.path.join(root, name))
            except OSError:
                continue
            if status.st_nlink == 1 or status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
    return total
