"""The disk under the data directory: is there room, and what a folder takes.

`DiskGuard` is asked before anything new is accepted or begun, so that a disk which fills up ends in
a sentence and not in half-written files.
"""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from runhook.errors import SettingsError
from runhook.model.quantity import byte_count, shown_bytes

SMALLEST_RESERVE = byte_count("1GB")
SMALLEST_PART = 0.02
LASTS = 1.0
OFF = ("0", "off")


@dataclass(frozen=True)
class Space:
    """Bytes of a file system: in all, and free for us."""

    total: int
    free: int


def space(path: Path) -> Space:
    """The room on the file system of `path`. OSError if it is not there."""
    facts = os.statvfs(path)
    return Space(facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize)


class DiskGuard:
    """Says whether the disk of `path` has room for more.

    `reserve` is in bytes; None means 1 GB or 2 % of the file system, whichever is smaller.
    """

    def __init__(
        self,
        path: Path,
        reserve: int | None = None,
        *,
        look: Callable[[Path], Space] = space,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._reserve = reserve
        self._look = look
        self._clock = clock
        self._asked_at = float("-inf")
        self._reason: str | None = None

    @classmethod
    def of(cls, path: Path, reserve: str) -> Self:
        """As the setting says: empty for the default, `0` for no reserve, else a size.
        SettingsError for anything else."""
        text = reserve.strip()
        try:
            return cls(path, None if not text else 0 if text in OFF else byte_count(text))
        except ValueError as error:
            raise SettingsError(
                f"cannot start: RUNHOOK_SERVER_DISK_RESERVE is {reserve!r}: {error}, or 0 for none"
            ) from None

    def reason(self) -> str | None:
        """Why nothing new should begin now, as a sentence; None while there is room. What it says
        is at most a second old, so it may be asked for every start."""
        now = self._clock()
        if now - self._asked_at >= LASTS:
            self._asked_at, self._reason = now, self._judged()
        return self._reason

    def free(self) -> int:
        """The free bytes, at this moment."""
        return self._look(self._path).free

    def _judged(self) -> str | None:
        try:
            found = self._look(self._path)
        except OSError as error:
            return f"the disk of {self._path} cannot be looked at: {error.strerror}"
        reserve = self._reserve
        if reserve is None:
            reserve = min(SMALLEST_RESERVE, int(found.total * SMALLEST_PART))
        if found.free >= reserve:
            return None
        return (
            f"the disk of {self._path} has {shown_bytes(found.free)} left, less than the reserve "
            f"of {shown_bytes(reserve)}: remove files, or lower RUNHOOK_SERVER_DISK_RESERVE"
        )


def tree_size(path: Path, without: Collection[str] = ()) -> int:
    """The length in bytes of all files below `path`, each once however many names it has there.

    Follows no links. What stands directly in `path` under a name in `without` is left out, and so
    is what goes while this looks or may not be looked at; 0 if there is nothing.
    """
    total, seen, folders = 0, set[tuple[int, int]](), [(os.fspath(path), without)]
    while folders:
        folder, left_out = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name in left_out:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((entry.path, ()))
                        continue
                    total += _size_of(entry.stat(follow_symlinks=False), seen)
        except OSError:
            continue
    return total


def _size_of(facts: os.stat_result, seen: set[tuple[int, int]]) -> int:
    """The length of a file that was not `seen` under another name."""
    identity = (facts.st_dev, facts.st_ino)
    if facts.st_nlink > 1 and identity in seen:
        return 0
    if facts.st_nlink > 1:
        seen.add(identity)
    return facts.st_size
