"""Secrets and configuration as files: below the run's home, which is outside the checkout and goes
with the run."""

import os
from collections.abc import Mapping
from pathlib import Path


def place_files(home: Path, files: Mapping[str, str]) -> None:
    """Write each secret to its path below the home, which is new: 0600, in folders of 0700, for
    whoever the home belongs to."""
    place_texts(home, {name: (text, 0o600) for name, text in files.items()})


def place_texts(home: Path, files: Mapping[str, tuple[str, int]]) -> None:
    """The same for texts with their modes."""
    for name, (text, mode) in files.items():
        path = home / name
        for folder in reversed(path.relative_to(home).parents[:-1]):
            (home / folder).mkdir(mode=0o700, exist_ok=True)
            _give(home / folder, home)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(text.encode())
            os.fchmod(file.fileno(), mode)
        _give(path, home)


def _give(path: Path, home: Path) -> None:
    owner = home.stat()
    if owner.st_uid != os.geteuid():
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
