"""Which process is the runner: a pid means something only with the boot and the start time."""

import hashlib
import os
import sys
from pathlib import Path

from runhook.runner.spec import Identity


def identity_of(pid: int) -> Identity | None:
    """The process that has this pid now; None if there is none (or only its remains)."""
    if sys.platform != "linux":
        return _by_psutil(pid)
    fields = stat_fields(pid)
    if fields is None or not _executes(fields):
        return None
    return Identity(boot_id(), pid, int(fields[19]))


def lives(identity: Identity) -> bool:
    """Is exactly this process alive?"""
    return identity_of(identity.pid) == identity


def lives_on(pid: int) -> bool:
    """Does anything of this process still execute? Its first thread may have ended before others:
    then it looks like a zombie that has threads."""
    fields = stat_fields(pid)
    return fields is not None and _executes(fields)


def _executes(fields: list[str]) -> bool:
    return fields[0] != "Z" or int(fields[17]) > 1


def stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the state on (proc(5)); None without such a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def boot_id() -> str:
    """Differs after each start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def own_identity() -> Identity:
    """This process."""
    identity = identity_of(os.getpid())
    assert identity is not None
    return identity


def _by_psutil(pid: int) -> Identity | None:
    import psutil  # noqa: PLC0415  not needed on Linux, and slow to import

    try:
        process = psutil.Process(pid)
        return Identity(str(int(psutil.boot_time())), pid, int(process.create_time() * 1000))
    except psutil.NoSuchProcess:
        return None


def fingerprint() -> str:
    """Changes with the interpreter and the runner's source: a new server wants a new parent."""
    parts = [sys.executable, sys.version]
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.is_file() and path.parent.name != "__pycache__":
            parts.append(f"{path} {path.stat().st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
