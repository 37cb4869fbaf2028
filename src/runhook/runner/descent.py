"""Walking through folders that somebody else may change meanwhile: by descriptor, through no link.

However deep they are, it takes two descriptors and no recursion: the way back up is `..`, and what
that leads to must be the folder that was left.
"""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
SWAPPED = (errno.ENOTDIR, errno.ELOOP, errno.ENOENT)


def open_folder(name: str, folder: int | None = None) -> int:
    """Open a folder, in an open one. OSError if a link or anything else stands there."""
    return os.open(name, FOLDER, dir_fd=folder)


def unlock_folder(name: str, folder: int | None = None) -> int:
    """Open a folder that is ours, whatever rights it has; it has those of its owner then."""
    held = os.open(name, os.O_PATH | FOLDER, dir_fd=folder)
    try:
        os.chmod(by_descriptor(held), 0o700)
        return os.open(by_descriptor(held), FOLDER & ~os.O_NOFOLLOW)
    finally:
        os.close(held)


def by_descriptor(descriptor: int) -> str:
    """A path to what is open, and to nothing else; also where it is open as a place only (open(2),
    O_PATH), which other calls do not take."""
    return f"/proc/self/fd/{descriptor}"


def below(
    top: int, enter: Callable[[str, int | None], int] = open_folder
) -> Iterator[tuple[int, str, bool]]:
    """All that is below an open folder, what is in a folder before the folder itself: the folder
    that has it, open until the next one; its name; whether it is a folder that was walked through.
    OSError if a folder cannot be entered, or is moved away while this is in it."""
    current = os.dup(top)
    try:
        levels = [_Level.of(current)]
        while True:
            level = levels[-1]
            if level.entries:
                name, is_folder = level.entries.pop()
                inner = _enter(enter, name, current) if is_folder else None
                if inner is None:
                    yield current, name, False
                else:
                    level.entered = name
                    os.close(current)
                    current = inner
                    levels.append(_Level.of(current))
                continue
            levels.pop()
            if not levels:
                return
            upper = os.open("..", FOLDER, dir_fd=current)
            os.close(current)
            current = upper
            levels[-1].require(current)
            yield current, levels[-1].entered, True
    finally:
        os.close(current)


@dataclass
class _Level:
    """A folder on the way down, and what of it is still to be looked at."""

    mark: tuple[int, int]
    entries: list[tuple[str, bool]] = field(default_factory=list)
    entered: str = ""

    @classmethod
    def of(cls, folder: int) -> "_Level":
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        return cls(_mark(folder), found)

    def require(self, folder: int) -> None:
        if _mark(folder) != self.mark:
            raise OSError(errno.ESTALE, "a folder was moved away while it was walked through")


def _mark(folder: int) -> tuple[int, int]:
    facts = os.fstat(folder)
    return facts.st_dev, facts.st_ino


def _enter(enter: Callable[[str, int | None], int], name: str, folder: int) -> int | None:
    """None if it is no folder any more."""
    try:
        return enter(name, folder)
    except OSError as error:
        if error.errno in SWAPPED:
            return None
        raise
