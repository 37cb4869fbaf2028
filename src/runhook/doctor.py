"""Is this machine fit for a server, and what is not as it should be: `runhook doctor`.

Every check looks and changes nothing. What it says about isolation is what the pages of runs say.
"""

import ipaddress
import os
import shutil
import stat
import time
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from runhook.disk import DiskGuard
from runhook.errors import RunhookError
from runhook.isolation import OFF, Isolation
from runhook.keys import KEY_BYTES
from runhook.model.quantity import shown_bytes
from runhook.ring import FILE as RING_FILE
from runhook.runner import cgroup
from runhook.runner.levels import BOXED
from runhook.runner.report import StepFailed
from runhook.runner.uv import program as uv_program
from runhook.store.database import Database, sqlite_url
from runhook.store.schema import REVISION, revision_at

State = Literal["ok", "warning", "broken"]
PROGRAMS = {
    "git": "checkouts need it: install the package git",
    "bash": "commands need it: install the package bash",
}
CONTROLLERS = {"memory": 64 * 1024 * 1024, "pids": 100, "cpu": 1.0}


@dataclass(frozen=True)
class Finding:
    """What one look found. `broken`: the server cannot work so; `warning`: it can, but."""

    name: str
    state: State
    sentence: str


@dataclass(frozen=True)
class Facts:
    """How the server here is, or would be, set up: the settings that this asks for."""

    data: Path
    database_url: str
    host: str
    url: str
    isolation: str
    disk_reserve: str
    folders: str = ""


def examine(facts: Facts) -> list[Finding]:
    """Look at everything. A check that fails unexpectedly is a finding, too."""
    checks: list[Callable[[Facts], Iterator[Finding]]] = [
        _data,
        _key,
        _database,
        _programs,
        _isolation,
        _limits,
        _disk,
        _listening,
        _clock,
        _zones,
    ]
    found: list[Finding] = []
    for check in checks:
        try:
            found += check(facts)
        except (OSError, RunhookError) as error:
            words = error.message if isinstance(error, RunhookError) else str(error)
            found.append(Finding(check.__name__.strip("_"), "broken", words))
    return found


def _data(facts: Facts) -> Iterator[Finding]:
    data = facts.data
    if not data.exists():
        yield Finding("data", "ok", f"{data} is not there yet; the first start makes it")
    elif not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("data", "broken", f"this user cannot write to {data}")
    elif data.stat().st_uid != os.geteuid():
        yield Finding(
            "data", "warning", f"{data} belongs to another user: run this as the server's user"
        )
    elif stat.S_IMODE(data.stat().st_mode) & 0o066:
        yield Finding("data", "warning", f"others may look into {data}: run chmod 700 {data}")
    else:
        yield Finding("data", "ok", f"{data} is the server's alone")


def _key(facts: Facts) -> Iterator[Finding]:
    path = facts.data / "keys" / "server.key"
    if not path.exists():
        yield Finding("key", "ok", "there is no key yet; the first start makes it")
        return
    ring = facts.data / "keys" / RING_FILE  # not there if the ring comes from elsewhere
    for each in (path, ring):
        if not each.exists():
            continue
        if each.stat().st_mode & 0o077:
            yield Finding("key", "broken", f"others may read {each}: run chmod 600 {each}")
        elif each == path and each.stat().st_size != KEY_BYTES:
            yield Finding("key", "broken", f"{each} is damaged: put its backup back in place")
        else:
            yield Finding("key", "ok", f"{each} can be read by the server's user alone")


def _database(facts: Facts) -> Iterator[Finding]:
    file = facts.data / "runhook.db"
    if not facts.database_url and not file.exists():
        yield Finding("database", "ok", "there is no database yet; the first start makes it")
        return
    with closing(Database(facts.database_url or sqlite_url(file))) as database:
        revision = revision_at(database.engine)
    if revision == REVISION:
        yield Finding("database", "ok", f"reachable, at the present revision {REVISION}")
    else:
        yield Finding(
            "database",
            "warning",
            f"at revision {revision or 'none'}; the next start brings it to {REVISION}: make a "
            "backup first",
        )


def _programs(facts: Facts) -> Iterator[Finding]:
    for name, hint in PROGRAMS.items():
        path = shutil.which(name)
        yield (Finding(name, "ok", path) if path else Finding(name, "broken", f"not found; {hint}"))
    try:
        yield Finding("uv", "ok", uv_program())
    except (FileNotFoundError, StepFailed) as error:
        yield Finding("uv", "broken", f"environments cannot be made: {error}")


def _isolation(facts: Facts) -> Iterator[Finding]:
    isolation = Isolation.of(facts.isolation, facts.data, facts.folders)
    refusal = isolation.refusal()
    if refusal:
        yield Finding("isolation", "broken", refusal)
        return
    state: State = "ok" if isolation.found.level in BOXED else "warning"
    yield Finding("isolation", state, isolation.sentence)
    for obstacle in isolation.found.obstacles:
        state = "warning" if facts.isolation == OFF else "ok"
        yield Finding("isolation", state, f"no better because {obstacle}")


def _limits(facts: Facts) -> Iterator[Finding]:
    """A control group is made, limited and removed: how a run would find out."""
    group = cgroup.make(f"doctor-{os.getpid()}")
    if group is None:
        yield Finding(
            "limits",
            "warning",
            "this machine lets the server make no control groups: memory and processes are looked "
            "at twice a second, cores are not limited",
        )
        return
    held = [name for name, value in CONTROLLERS.items() if group.limit(name, value)]
    group.remove()
    missing = [name for name in CONTROLLERS if name not in held]
    told = f"control groups (version {group.version}) hold {', '.join(held) or 'nothing'}"
    if missing:
        yield Finding("limits", "warning", f"{told}, but not {', '.join(missing)}")
    else:
        yield Finding("limits", "ok", told)


def _disk(facts: Facts) -> Iterator[Finding]:
    place = next(path for path in (facts.data, *facts.data.parents) if path.exists())
    guard = DiskGuard.of(place, facts.disk_reserve)
    reason = guard.reason()
    free = f"{shown_bytes(guard.free())} free on the disk of {place}"
    yield Finding("disk", "broken" if reason else "ok", reason or free)


def _listening(facts: Facts) -> Iterator[Finding]:
    secure = urlsplit(facts.url).scheme == "https"
    if _is_loopback(facts.host):
        yield Finding("address", "ok", f"listens on {facts.host}, for this machine alone")
    elif secure:
        yield Finding("address", "ok", f"listens on {facts.host}; people come by {facts.url}")
    else:
        yield Finding(
            "address",
            "warning",
            f"listens on {facts.host}, beyond this machine, and people come without https: tokens "
            "and passwords can be read on the way. Put a proxy with TLS before it and set "
            "RUNHOOK_SERVER_URL=https://…",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _clock(facts: Facts) -> Iterator[Finding]:
    """Schedules are as right as the clock: it cannot be before this program was installed, nor
    before what the server has already written."""
    written = [Path(__file__), facts.data / "runhook.db"]
    latest = max(path.stat().st_mtime for path in written if path.exists())
    behind = latest - time.time()
    if behind > 60:
        yield Finding(
            "clock", "warning", f"it is {behind:.0f} seconds before the latest file of the server"
        )
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def _zones(facts: Facts) -> Iterator[Finding]:
    count = len(zoneinfo.available_timezones())
    if count < 100:
        yield Finding("zones", "broken", "schedules need time zones: install the package tzdata")
    else:
        yield Finding("zones", "ok", f"{count} time zones are known")
