"""The places of an attempt that only its work needs, and that go with it."""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

SCRATCH = ("workspace", "home", "tmp", "out", "environment")
GIVEN = ("workspace", "home", "tmp", "out")
KEPT = "artifacts"


def make(directory: Path) -> Path:
    """Make the places in the attempt's directory; the workspace."""
    for name in (*GIVEN, KEPT):
        (directory / name).mkdir(mode=0o700, exist_ok=True)
    workspace = directory / "workspace"
    workspace.chmod(0o755)  # for whoever builds packages that it asks for; nobody else gets there
    return workspace


def give(path: Path, uid: int) -> None:
    """Make the system user the owner of a folder and all that is in it, following no link. For what
    nobody else writes to meanwhile."""
    os.chmod(path, 0o700)
    os.lchown(path, uid, uid)
    for root, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.lchown(os.path.join(root, name), uid, uid)


def remove(directory: Path) -> None:
    """Remove what only the work needed, also where the work took its own rights away. Safe to
    repeat; follows no links."""
    for name in SCRATCH:
        remove_tree(directory / name)


def remove_tree(path: Path) -> bool:
    """Remove a folder with all that is in it, whatever rights the work has left there; True once
    nothing is there (any more). Follows no links, and removes no link."""
    if not path.is_symlink():
        with suppress(RecursionError):
            shutil.rmtree(path, ignore_errors=True)
        if path.is_dir():
            with suppress(OSError):
                _remove_flat(path)
    return not os.path.lexists(path)


def _remove_flat(path: Path) -> None:
    """However deep it is: every folder is moved to the top before it is emptied, so that no path
    gets long and no level needs another one of the stack."""
    mark, number = f".{secrets.token_hex(8)}-", 0
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        os.chmod(folder, 0o700)
        with os.scandir(folder) as entries:
            found = list(entries)
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)  # to be moved, a folder must be writable
            number += 1
            waiting.append(path / f"{mark}{number}")
            os.rename(entry.path, waiting[-1])
        if folder != path:
            os.rmdir(folder)
    os.rmdir(path)
