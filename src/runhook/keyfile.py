"""Files that hold keys: for their owner alone (0600), whole at every moment, and on the disk before
anything is made with them. What stands in them is the matter of `keys` and `ring`."""

import os
import secrets
from pathlib import Path

from runhook.errors import SettingsError


def read(path: Path) -> bytes:
    """What the key file holds. SettingsError if it cannot be read, or others than its owner may."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, error) from None
    if mode & 0o077:
        raise SettingsError(f"cannot start: others may read {path}; run: chmod 600 {path}")
    return content


def create(path: Path, content: bytes) -> None:
    """Make the file, unless it is there: whoever comes second keeps the first's. SettingsError if
    it cannot be made."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            return
        fresh = _fresh(path, content)
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        _sync_directory(path.parent)
    except OSError as error:
        raise _unusable(path, error) from None


def replace(path: Path, content: bytes) -> None:
    """Put other content into the file. Killed at any moment, it holds all of the old or all of the
    new. SettingsError if it cannot be written: then it holds the old."""
    try:
        os.replace(_fresh(path, content), path)
        _sync_directory(path.parent)
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(f"cannot start: the key {path} cannot be used: {error}")


def _fresh(path: Path, content: bytes) -> Path:
    """A new file beside `path`, written out to the disk."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    return fresh


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
