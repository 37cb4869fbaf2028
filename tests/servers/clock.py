"""A clock that can be set, for the processes of one server: libfaketime, reading a file."""

from pathlib import Path

from tests.servers.system_parts import require


class Clock:
    """Start a server with `environment`; `set` moves its wall clock. Its monotonic clock, and the
    clock of the work it runs, stay true."""

    def __init__(self, file: Path) -> None:
        require("faketime")
        self._file = file
        self.set(0)
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """So many seconds ahead of the true time, or behind."""
        self._file.write_text(f"{seconds:+d}s\n")
