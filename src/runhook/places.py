"""Where sockets may stand."""

import hashlib
import os
import tempfile
from pathlib import Path

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
