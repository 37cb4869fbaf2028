"""The places of an attempt that only its work needs, and that go with it."""

import os
from contextlib import suppress
from pathlib import Path

from runhook.runner.descent import below, open_folder, unlock_folder

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
    """Make the system user the owner of a folder and all that is in it, following no link, the
    folder itself last: until then nobody but root gets in. That user may have it already, and write
    to it meanwhile: what it puts there is its own at most. OSError if it is moved about."""
    top = open_folder(str(path))
    try:
        os.fchown(top, os.geteuid(), os.getegid())
        os.fchmod(top, 0o700)
        for folder, name, _ in below(top):
            with suppress(FileNotFoundError):
                os.chown(name, uid, uid, dir_fd=folder, follow_symlinks=False)
        os.fchown(top, uid, uid)
    finally:
        os.close(top)


def remove(directory: Path) -> None:
    """Remove what only the work needed, also where the work took its own rights away. Safe to
    repeat; follows no links."""
    for name in SCRATCH:
        remove_tree(directory / name)


def remove_tree(path: Path) -> bool:
    """Remove a folder with all that is in it, whatever rights the work has left there, and however
    deep it is; True once nothing is there (any more). Follows no links, and removes no link."""
    with suppress(OSError):
        _empty(path)
        os.rmdir(path)
    return not os.path.lexists(path)


def _empty(path: Path) -> None:
    """What cannot be removed stays, with the folders that it is in."""
    top = unlock_folder(str(path))
    try:
        for folder, name, walked in below(top, unlock_folder):
            with suppress(OSError):
                (os.rmdir if walked else os.unlink)(name, dir_fd=folder)
    finally:
        os.close(top)
