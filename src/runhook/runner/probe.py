"""Which level of isolation this machine gives, found out by doing what a run would do."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runhook.runner.levels import LEVELS, OWN_USER, Level, own_uid
from runhook.runner.report import StepFailed
from runhook.runner.sandbox import Confinement, OwnUser, Sandbox, confined, program
from runhook.runner.tree import ended_within
from runhook.runner.view import View

PROBE, PATIENCE = "a probe", 20.0
WORK = ["/bin/sh", "-c", "test -x /bin/sh"]
APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")
SWITCHED_OFF = "isolation is switched off by RUNHOOK_RUNS_ISOLATION=off"


@dataclass(frozen=True)
class Found:
    """The best level that works, and one sentence for each better one that does not."""

    level: Level
    obstacles: Sequence[str] = ()


def probe() -> Found:
    """Try the levels, best first: each starts a process in its place. Changes nothing; about 20
    ms."""
    obstacles: list[str] = []
    for level in LEVELS:
        obstacle = _obstacle(level)
        if obstacle is None:
            return Found(level, tuple(dict.fromkeys(obstacles)))
        obstacles.append(obstacle)
    raise AssertionError("the last level has no obstacle")


def _obstacle(level: Level) -> str | None:
    """Why this level cannot be had, in a sentence."""
    if level == LEVELS[-1]:
        return None
    if level in OWN_USER and os.geteuid() != 0:
        return "only a server that runs as root can give each job a system user of its own"
    if level == "bubblewrap" and os.geteuid() == 0:
        return "bubblewrap with root as the user would protect nothing"
    uid = own_uid(PROBE) if level in OWN_USER else None
    if level == "own_user":
        return _try(OwnUser(own_uid(PROBE)), _interpreter())
    if program() is None:
        return "bubblewrap (bwrap) is not installed: install the package bubblewrap"
    with tempfile.TemporaryDirectory(prefix="rh-") as temporary:
        return _try(Sandbox(View(temporary=temporary), uid), WORK)


def _interpreter() -> list[str]:
    return [sys.executable, "-I", "-S", "-c", ""]


def _try(place: Confinement, words: Sequence[str]) -> str | None:
    """What keeps a process from working in this place, which is closed then."""
    try:
        if isinstance(place, Sandbox):
            place.complete()
        return _run(place, words)
    except StepFailed as error:
        return f"{error.reason}{_hint()}"
    except (OSError, subprocess.SubprocessError) as error:
        return f"a process cannot be put into its place: {error}"
    finally:
        place.close()


def _run(place: Confinement, words: Sequence[str]) -> str | None:
    told = os.memfd_create("probe")
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            cwd="/",
            env={},
            preexec_fn=confined(place, list),
        )
        if not ended_within(process, PATIENCE):
            process.kill()
            process.wait()
            return f"a process in its place does not end in {PATIENCE:g} seconds"
        said = os.pread(told, 4096, 0).decode("utf-8", "replace").strip()[-200:]
        return None if process.returncode == 0 else f"a process in its place fails: {said}"
    finally:
        os.close(told)


def _hint() -> str:
    """What is known to forbid it."""
    if _says(APPARMOR, "1"):
        return (
            ": this system lets programs make user namespaces only under an AppArmor profile that "
            "permits it; give /usr/bin/bwrap one"
        )
    if _says(USER_NAMESPACES, "0"):
        return ": user namespaces are switched off here (sysctl user.max_user_namespaces)"
    return ""


def _says(path: Path, text: str) -> bool:
    with suppress(OSError):
        return path.read_text(encoding="ascii").strip() == text
    return False
