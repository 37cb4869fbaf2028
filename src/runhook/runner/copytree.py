"""A private copy of a folder, fast: about 20 µs a file, and blocks are shared where the disk can.

Not `shutil.copytree`, which is many times slower because of what it keeps and a checkout has not
(times, extended attributes), and not hard links, because a run may write into its files in place.
"""

import errno
import os
import stat
from pathlib import Path

from runhook.runner.process import Control

CANNOT_SHARE = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
CHUNK = 1024 * 1024


def copy_tree(source: Path, target: Path, control: Control) -> None:
    """Copy folders, files (with their mode) and links (as links); nothing else is in a checkout.

    `target` may be there if it is an empty folder. Stops between folders if the attempt has to end.
    """
    if not target.is_dir():
        os.mkdir(target)
    folders = [(str(source), str(target))]
    while folders:
        control.check()
        folders += _copy_entries(*folders.pop())


def _copy_entries(source: str, target: str) -> list[tuple[str, str]]:
    """Copy what is directly in a folder; the pairs of its subfolders, the targets made."""
    below = []
    with os.scandir(source) as entries:
        for entry in entries:
            copy = f"{target}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), copy)
            elif entry.is_dir():
                os.mkdir(copy)
                below.append((entry.path, copy))
            else:
                copy_file(entry.path, copy)
    return below


def copy_file(source: str, target: str) -> None:
    """Copy one regular file, with its mode, to a name that must be free."""
    reads = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        facts = os.fstat(reads)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        writes = os.open(target, flags, stat.S_IMODE(facts.st_mode))
        try:
            _copy_bytes(reads, writes, facts.st_size)
        finally:
            os.close(writes)
    finally:
        os.close(reads)


def _copy_bytes(reads: int, writes: int, size: int) -> None:
    try:
        while size > 0 and (count := os.copy_file_range(reads, writes, size)):
            size -= count
    except OSError as error:
        if error.errno not in CANNOT_SHARE:
            raise
        while chunk := os.read(reads, CHUNK):
            _write_all(writes, chunk)


def _write_all(writes: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(writes, view) :]
