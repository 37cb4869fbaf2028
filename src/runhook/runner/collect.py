"""Keeping what the work made: artifacts, notebooks written where it ran, the value returned.

The work has ended when this looks, but what it left may be meant to mislead: links to files that
the server may read and the work may not, pipes, devices. So everything is opened beneath a folder
that was the work's, through no link that leads out of it, and only regular files are kept. Secrets
are masked in notebooks and in the value; other artifacts are kept as they are.
"""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from runhook.runner.masking import Masker
from runhook.runner.report import Reporter
from runhook.runner.spec import write_whole
from runhook.runner.syscalls import open_beneath
from runhook.runner.variables import result_value_path

LARGEST_VALUE = 1024 * 1024
KEPT_VALUE = "result-value.json"
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = READ | os.O_DIRECTORY

Listing = dict[str, tuple[int, int]]


@contextmanager
def folder_of(workspace: Path, place: Path) -> Iterator[int]:
    """The folder `place` of the workspace, opened; OSError if it is not there (any more), or links
    lead out of the workspace on the way."""
    root = os.open(workspace, FOLDER)
    try:
        folder = open_beneath(root, os.path.relpath(place, workspace), os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(root)
    try:
        yield folder
    finally:
        os.close(folder)


@contextmanager
def open_beneath_text(workspace: Path, path: Path) -> Iterator[TextIO]:
    """A text file of the workspace, under the same conditions."""
    root = os.open(workspace, FOLDER)
    try:
        reads = open_beneath(root, os.path.relpath(path, workspace), os.O_RDONLY | os.O_NONBLOCK)
    finally:
        os.close(root)
    with open(reads, encoding="utf-8") as file:
        yield file


def notebooks_in(folder: int) -> Listing:
    """The notebooks that stand in an open folder: name → (time of change in ns, size)."""
    found: Listing = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".ipynb") and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                found[entry.name] = (status.st_mtime_ns, status.st_size)
    return found


def keep_notebooks(folder: int, before: Listing, artifacts: Path, masker: Masker) -> None:
    """Copy the notebooks that are new or changed since `before`; one the work put there itself
    is left as it is."""
    target = os.open(artifacts, FOLDER)
    try:
        for name, mark in notebooks_in(folder).items():
            if before.get(name) != mark:
                with suppress(OSError):
                    _copy(folder, target, name, masker)
    finally:
        os.close(target)


def _copy(source: int, target: int, name: str, masker: Masker) -> None:
    """Copy a regular file, masked, to a name that is free; anything else is OSError."""
    reads = os.open(name, READ, dir_fd=source)
    with open(reads, "rb") as file:
        if not stat.S_ISREG(os.fstat(reads).st_mode):
            raise OSError(f"{name} is no regular file")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o600, dir_fd=target), "wb") as copy:
            if masker:
                copy.write(masked_json(file.read(), masker))
            else:
                shutil.copyfileobj(file, copy)


def mask_notebooks(artifacts: Path, masker: Masker) -> None:
    """Mask the notebooks among the artifacts, at any depth, once `keep_artifacts` has made them the
    server's own. Those that were copied there are masked already, and stay as they are. One that
    cannot be masked, for want of room, is not kept."""
    for folder, _, names in os.walk(artifacts):
        for path in (Path(folder) / name for name in names if name.endswith(".ipynb")):
            try:
                data = path.read_bytes()
                masked = masked_json(data, masker)
                if masked != data:
                    write_whole(path, masked)
            except OSError:
                path.unlink(missing_ok=True)


def masked_json(data: bytes, masker: Masker) -> bytes:
    """`data`, masked text by text if it is JSON, so that it stays JSON; without a secret, as it
    is."""
    try:
        value = json.loads(data)
        masked = masker.mask_value(value)
        if masked != value:
            data = json.dumps(masked, indent=1, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        pass
    return masker.mask(data)


def keep_artifacts(artifacts: Path, reporter: Reporter) -> None:
    """Make the artifacts the server's own: regular files in folders, with no special rights. Links,
    pipes, sockets and devices are removed, which a notice says."""
    left_out = 0
    with suppress(OSError):
        if not artifacts.is_symlink():
            os.chmod(artifacts, 0o700)
        top = os.open(artifacts, FOLDER)
        try:
            _own(top)
            for _, folders, files, folder in os.fwalk(".", dir_fd=top):
                left_out += sum(not _keep(folder, name) for name in (*folders, *files))
        finally:
            os.close(top)
    if left_out:
        what = "entry was" if left_out == 1 else "entries were"
        reporter.emit(
            "notice",
            message=f"{left_out} {what} removed from the artifacts: only files and folders are "
            "kept, no links, pipes, sockets or devices",
        )


def _keep(folder: int, name: str) -> bool:
    """Take over a file or folder; False if it is anything else, which is then removed."""
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        os.unlink(name, dir_fd=folder)
        return False
    if os.geteuid() == 0:
        os.chown(name, 0, os.getegid(), dir_fd=folder, follow_symlinks=False)
    mine = 0o700 if stat.S_ISDIR(mode) else 0o600
    os.chmod(name, mine | (mode & 0o777), dir_fd=folder)
    return True


def _own(folder: int) -> None:
    if os.geteuid() == 0:
        os.fchown(folder, 0, os.getegid())


def keep_value(directory: Path, reporter: Reporter) -> None:
    """Keep the value that the work returned, masked. It must be JSON and of reasonable size, or it
    is dropped, which a notice says."""
    text = _read(result_value_path(directory))
    if text is None:
        return
    if len(text) > LARGEST_VALUE:
        reporter.emit("notice", message=f"the result is larger than {LARGEST_VALUE} bytes: dropped")
        return
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        reporter.emit("notice", message=f"the result is not JSON, so it was dropped: {error}")
    else:
        write_whole(directory / KEPT_VALUE, masked_json(text, reporter.masker))


def _read(path: Path) -> bytes | None:
    """A little more than a value may have; None where no regular file is."""
    try:
        folder = os.open(path.parent, FOLDER)
    except OSError:
        return None
    try:
        with open(os.open(path.name, READ, dir_fd=folder), "rb") as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return file.read(LARGEST_VALUE + 1) if regular else None
    except OSError:
        return None
    finally:
        os.close(folder)
