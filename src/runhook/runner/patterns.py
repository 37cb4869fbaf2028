"""Keeping files of the workspace that the job's patterns match.

The work has ended, but what it left may be meant to mislead, as `collect` says: nothing is opened
through a link, on the way to a file or on the way to its copy; only regular files are copied, and a
name that the work put among the artifacts itself is left as it is.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from pathlib import Path, PurePosixPath

from runhook.runner.collect import DEEPEST, FOLDER, READ, folder_of, masked_json, small
from runhook.runner.masking import Masker
from runhook.runner.report import Reporter

MOST_LOOKED_AT, MOST_KEPT = 200_000, 10_000
RESERVE = 64 * 1024 * 1024
"""Bytes of the disk that copies leave free."""
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
States = frozenset[tuple[str, ...]]
"""What of the patterns is still to be matched, below a folder."""


def keep_matching(
    workspace: Path,
    place: Path,
    patterns: Sequence[str],
    artifacts: Path,
    reporter: Reporter,
    room: int | None,
) -> None:
    """Copy what the patterns match below `place`, a folder of the workspace, to the same paths
    below `artifacts`; notebooks masked, everything else as it is. `room` is how many bytes that may
    take (None: as many as the disk has). A notice says what was not kept."""
    if not patterns:
        return
    keeping = _Keeping(reporter.masker, room)
    with suppress(OSError), folder_of(workspace, place) as source:
        target = os.open(artifacts, FOLDER)
        try:
            wanted = frozenset(PurePosixPath(each).parts for each in patterns)
            keeping.walk(source, target, [], wanted)
        finally:
            os.close(target)
    for sentence in keeping.sentences():
        reporter.emit("notice", message=sentence)


@dataclass
class _Keeping:
    """One walk through a workspace."""

    masker: Masker
    room: int | None
    looked_at: int = 0
    kept: int = 0
    odd: int = 0
    without_room: int = 0
    stopped: str = ""

    def sentences(self) -> Iterator[str]:
        if self.odd:
            yield (
                f"{self.odd} of what the artifact patterns match cannot be kept: only files that "
                "can be read are, no links, pipes, sockets or devices"
            )
        if self.without_room:
            yield f"{self.without_room} of what the artifact patterns match does not fit any more"
        if self.stopped:
            yield self.stopped

    def walk(self, source: int, target: int, path: list[str], wanted: States) -> None:
        """Below the open folder `source`, whose path below the start is `path`; `target` is where
        the copies go."""
        for name, mode in self._entries(source):
            if self.stopped:
                return
            rest = matched(wanted, name)
            if stat.S_ISDIR(mode):
                if rest and len(path) < DEEPEST:
                    self._enter(source, target, [*path, name], rest)
            elif () in rest:
                self._keep(source, target, [*path, name], mode)

    def _entries(self, source: int) -> list[tuple[str, int]]:
        found = []
        with os.scandir(source) as entries:
            for entry in entries:
                self.looked_at += 1
                if self.looked_at > MOST_LOOKED_AT:
                    self.stopped = (
                        f"the artifact patterns were looked for among {MOST_LOOKED_AT} files: "
                        "there are more; write patterns that begin with a folder"
                    )
                    break
                with suppress(OSError):
                    found.append((entry.name, entry.stat(follow_symlinks=False).st_mode))
        return sorted(found)

    def _enter(self, source: int, target: int, path: list[str], wanted: States) -> None:
        try:
            folder = os.open(path[-1], FOLDER, dir_fd=source)
        except OSError:
            self.odd += 1
            return
        try:
            self.walk(folder, target, path, wanted)
        finally:
            os.close(folder)

    def _keep(self, source: int, artifacts: int, path: list[str], mode: int) -> None:
        if self.kept == MOST_KEPT:
            self.stopped = f"only {MOST_KEPT} files that the artifact patterns match are kept"
            return
        if not stat.S_ISREG(mode):
            self.odd += 1
            return
        try:
            self._copy(source, artifacts, path)
        except FileExistsError:
            pass  # the work put it there itself
        except OSError:
            self.odd += 1

    def _copy(self, source: int, artifacts: int, path: list[str]) -> None:
        with open(os.open(path[-1], READ, dir_fd=source), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise OSError(f"{path[-1]} is no regular file")
            if facts.st_size > self._left(artifacts):
                self.without_room += 1
                return
            folder = _folder(artifacts, path[:-1])
            try:
                with open(os.open(path[-1], WRITE, 0o600, dir_fd=folder), "wb") as copy:
                    if path[-1].endswith(".ipynb") and self.masker:
                        copy.write(masked_json(small(file), self.masker))
                    else:
                        shutil.copyfileobj(file, copy)
            finally:
                os.close(folder)
        self.kept += 1
        if self.room is not None:
            self.room -= facts.st_size

    def _left(self, artifacts: int) -> int:
        """How many bytes a file may have."""
        disk = os.fstatvfs(artifacts)
        free = disk.f_bavail * disk.f_frsize - RESERVE
        return free if self.room is None else min(free, self.room)


def _folder(artifacts: int, path: Sequence[str]) -> int:
    """The folder of the copies, made and opened level by level: no link of the work's is followed.
    OSError if something else stands there."""
    folder = os.dup(artifacts)
    try:
        for name in path:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
            inner = os.open(name, FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
    except OSError:
        os.close(folder)
        raise
    return folder


def matched(wanted: States, name: str) -> States:
    """What is still to be matched below `name`; `()` among it says that it is matched itself. A
    name that begins with a dot is matched only by a part that begins with one."""
    found: set[tuple[str, ...]] = set()
    for parts in wanted:
        if not parts:
            continue
        if parts[0] == "**":
            if not name.startswith("."):
                found.add(parts)
            below = parts[1:]
            if below:
                found |= matched(frozenset({below}), name)
            elif not name.startswith("."):
                found.add(())
        elif _fits(parts[0], name):
            found.add(parts[1:])
    return frozenset(found)


def _fits(part: str, name: str) -> bool:
    if name.startswith(".") and not part.startswith("."):
        return False
    return _compiled(part).match(name) is not None


@cache
def _compiled(part: str) -> re.Pattern[str]:
    return re.compile(translate(part))
