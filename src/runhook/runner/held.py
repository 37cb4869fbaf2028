"""The kernel of a failed notebook, kept for a while, so that somebody may look into it.

The run is over and its result told; its runner stays and holds the kernel, whichever way that was
started, in the place and under the limits that it had. `held.json` in the attempt's directory, for
the server's system user alone, says how to connect and until when; it means nothing once that
runner is gone. A file `release` beside it ends it. Of each job only the latest is held.
"""

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runhook.runner import tree
from runhook.runner.identity import lives, own_identity
from runhook.runner.process import Control
from runhook.runner.spec import Identity, RunSpec, write_whole

FILE, RELEASE = "held.json", "release"
LOOK_SECONDS = 0.5


@dataclass
class Hold:
    """What a runner is to hold: nothing before a notebook has failed and left its kernel alive."""

    seconds: float
    connection: dict[str, Any] | None = None
    until: float = 0.0

    def announce(self, spec: RunSpec) -> None:
        """Say that it is held, from now on; what was held of the job goes."""
        assert self.connection
        key = self.connection["key"]
        told = {**self.connection, "key": key.decode() if isinstance(key, bytes) else key}
        self.until = time.time() + self.seconds
        about = {"until": self.until, "runner": asdict(own_identity()), "connection": told}
        write_whole(Path(spec.directory) / FILE, json.dumps(about))
        pointer = pointer_of(spec.hint_socket, spec.job_id)
        if pointer:
            release_of_job(pointer)
            with suppress(OSError):
                write_whole(pointer, spec.directory)

    def stay(self, directory: Path, control: Control) -> None:
        """Return when it is no longer to be held: it was released, its time is over, it took more
        than its limits allow, the attempt's directory went, or the kernel itself."""
        ends = time.monotonic() + self.seconds
        with suppress(OSError):  # the directory may go while it is looked at
            while time.monotonic() < ends and tree.descendants():
                if (directory / RELEASE).exists() or not (directory / FILE).exists():
                    break
                if control.bounds.exceeded() or tree.poll([control.fileno()], LOOK_SECONDS):
                    break
        for name in (FILE, RELEASE):
            (directory / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Held:
    """A kernel that is held now. `until` in seconds since 1970, `connection` as Jupyter has it."""

    until: float
    connection: dict[str, Any]

    @classmethod
    def of(cls, directory: Path) -> "Held | None":
        """The one of the attempt in this directory, if there is one."""
        try:
            about = json.loads((directory / FILE).read_bytes())
            if lives(Identity(**about["runner"])):
                return cls(about["until"], about["connection"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None


def release(directory: Path) -> None:
    """Have the kernel of this attempt ended, within a second. Safe to repeat, and without one."""
    if (directory / FILE).exists():
        (directory / RELEASE).touch(mode=0o600)


def pointer_of(hint_socket: str | None, job_id: str) -> Path | None:
    """Where it stands which attempt of a job is held."""
    return Path(hint_socket).with_name(f"held-{job_id}") if hint_socket else None


def held_beside(hint_socket: str) -> list[Path]:
    """The directories of the attempts that are held now, of all jobs."""
    found: list[Path] = []
    for pointer in Path(hint_socket).parent.glob("held-*") if hint_socket else ():
        with suppress(OSError, ValueError):
            found.append(Path(pointer.read_text(encoding="utf-8")))
    return [directory for directory in found if Held.of(directory)]


def release_of_job(pointer: Path) -> None:
    """Release what is held of a job. Safe to repeat."""
    with suppress(OSError):
        release(Path(pointer.read_text(encoding="utf-8")))
        pointer.unlink()
