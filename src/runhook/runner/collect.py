"""Keeping what the work made: artifacts, notebooks written where it ran, the value returned.

The work has ended when this looks, but what it left may be meant to mislead: links to files that
the server may read and the work may not, pipes, devices. So everything is opened beneath a folder
that was the work's, through no link that leads out of it, and only regular files are kept. Secrets
are masked in notebooks and in the value; other artifacts are kept as they are.
"""

import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from runhook.runner.descent import below, by_descriptor, unlock_folder
from runhook.runner.masking import Masker
from runhook.runner.report import Reporter
from runhook.runner.scratch import remove_tree
from runhook.runner.spec import write_whole
from runhook.runner.syscalls import open_beneath
from runhook.runner.variables import result_value_path

LARGEST_VALUE = 1024 * 1024
LARGEST_MASKED = 64 * 1024 * 1024
"""Bytes of a notebook in which secrets are looked for; a larger one is not kept."""
DEEPEST = 64
"""Folders within folders among the artifacts."""
KEPT_VALUE = "result-value.json"
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = READ | os.O_DIRECTORY
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

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
        with open(os.open(name, NEW, 0o600, dir_fd=target), "wb") as copy:
            if masker:
                copy.write(masked_json(small(file), masker))
            else:
                shutil.copyfileobj(file, copy)


def small(file: BinaryIO) -> bytes:
    """All of a file that is to be masked; OSError if it is larger than can be."""
    if os.fstat(file.fileno()).st_size > LARGEST_MASKED:
        raise OSError(f"it is larger than {LARGEST_MASKED} bytes")
    return file.read()


def mask_notebooks(artifacts: Path, reporter: Reporter) -> None:
    """Mask the notebooks among the artifacts once `keep_artifacts` has made them the server's own.
    Those that were copied there are masked already, and stay as they are. One that cannot be
    masked, for its size or for want of room, is not kept, which a notice says."""
    top = os.open(artifacts, FOLDER)
    try:
        for folder, name, walked in below(top):
            if walked or not name.endswith(".ipynb"):
                continue
            try:
                _mask(folder, name, reporter.masker)
            except OSError as error:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
                message = f"a notebook was removed, because secrets in it cannot be masked: {error}"
                reporter.emit("notice", message=message)
    finally:
        os.close(top)


def _mask(folder: int, name: str, masker: Masker) -> None:
    """Replace a notebook in an open folder by itself, masked. OSError if it cannot be."""
    with open(os.open(name, READ, dir_fd=folder), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("it is no regular file")
        data = small(file)
    masked = masked_json(data, masker)
    if masked == data:
        return
    fresh = f".{secrets.token_hex(8)}"
    try:
        with open(os.open(fresh, NEW, 0o600, dir_fd=folder), "wb") as file:
            file.write(masked)
        os.replace(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=folder)
        raise


def masked_json(data: bytes, masker: Masker, indent: int | None = 1) -> bytes:
    """`data`, masked value by value if it is JSON, so that it stays JSON, else as bytes; without a
    secret, as it is."""
    try:
        value = json.loads(data)
        masked = masker.mask_value(value)
        if masked == value:
            return data
        return json.dumps(masked, indent=indent, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return masker.mask(data)


def keep_artifacts(artifacts: Path, reporter: Reporter) -> None:
    """Make the artifacts the server's own: regular files in folders, with no special rights. Links,
    pipes, sockets, devices and what is nested deeper than anybody means are removed, which a notice
    says."""
    left_out = 0
    with suppress(OSError):
        top = unlock_folder(str(artifacts))
        try:
            _own(top)
            left_out = _keep_all(top, 1)
        finally:
            os.close(top)
    if left_out:
        what = "entry was" if left_out == 1 else "entries were"
        reporter.emit(
            "notice",
            message=f"{left_out} {what} removed from the artifacts: only files and folders are "
            f"kept, no links, pipes, sockets or devices, and nothing nested deeper than {DEEPEST}",
        )


def _keep_all(folder: int, depth: int) -> int:
    """Take over what is in an open folder: how many entries were not kept."""
    left_out = 0
    for name in os.listdir(folder):
        try:
            kept = _keep(folder, name)
            if kept and stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                left_out += _keep_folder(folder, name, depth)
        except OSError:  # of work that still lives: it was taken away meanwhile, or exchanged
            kept = False
        left_out += not kept
    return left_out


def _keep_folder(parent: int, name: str, depth: int) -> int:
    if depth >= DEEPEST:
        remove_tree(Path(f"/proc/self/fd/{parent}/{name}"))
        return 1
    folder = os.open(name, FOLDER, dir_fd=parent)
    try:
        return _keep_all(folder, depth + 1)
    finally:
        os.close(folder)


def _keep(folder: int, name: str) -> bool:
    """Take over a file or folder; False if it is anything else, which is then removed. What is
    looked at is what is changed, whatever takes its name meanwhile."""
    held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        mode = os.fstat(held).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            os.unlink(name, dir_fd=folder)
            return False
        if os.geteuid() == 0:
            os.chown(by_descriptor(held), 0, os.getegid())
        mine = 0o700 if stat.S_ISDIR(mode) else 0o600
        os.chmod(by_descriptor(held), mine | (mode & 0o755))  # nobody else writes to it any more
        return True
    finally:
        os.close(held)


def _own(folder: int) -> None:
    if os.geteuid() == 0:
        os.fchown(folder, 0, os.getegid())


def keep_value(directory: Path, reporter: Reporter, shown: bytes | None = None) -> None:
    """Keep the value that the work returned, masked: what it wrote, or else what it has `shown`, as
    JSON. It must be JSON and of reasonable size, or it is dropped, which a notice says."""
    text = _read(result_value_path(directory))
    text = shown if text is None else text
    if text is None:
        return
    if len(text) > LARGEST_VALUE:
        reporter.emit("notice", message=f"the result is larger than {LARGEST_VALUE} bytes: dropped")
        return
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reporter.emit("notice", message=f"the result is not JSON, so it was dropped: {error}")
    else:
        kept = masked_json(text, reporter.masker, indent=None)
        try:
            write_whole(directory / KEPT_VALUE, kept)
        except OSError as error:
            reporter.emit("notice", message=f"the result cannot be kept: {error.strerror}")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


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
