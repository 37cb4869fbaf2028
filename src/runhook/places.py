"""Where sockets may stand, and that a data directory has one server."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runhook.errors import SettingsError

LONGEST_SOCKET = 90


def run_directory(data: Path) -> Path:
    """A private directory for the sockets of the server with this data directory: `<data>/run`, or
    one under the temporary directory where that path is too long for a socket's address (108 bytes
    on Linux). The same at every start."""
    directory = data / "run"
    if len(os.fsencode(directory / "hints.sock")) > LONGEST_SOCKET:
        name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
        directory = Path(tempfile.gettempdir()) / f"runhook-{os.getuid()}-{name}"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    owned = directory.stat()
    if owned.st_uid != os.getuid() or owned.st_mode & 0o077:
        raise PermissionError(f"{directory} belongs to somebody else or is open to others")
    return directory


@contextmanager
def sole_server(data: Path) -> Iterator[None]:
    """Be the only server of this data directory for as long as the block lasts; the kernel ends it
    with the process, however that ends. SettingsError if there is another."""
    path = run_directory(data) / "server.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, data)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, data: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(
            f"cannot start: another server uses {data}; stop it, or name another place with --data"
        ) from None
