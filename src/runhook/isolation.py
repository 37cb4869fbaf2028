"""How runs are kept apart on this server: what the setting wants and what the machine gives.

Made once at each start of the server, and by `runhook doctor`; the same sentences for both.
"""

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runhook.errors import SettingsError
from runhook.runner.levels import BOXED, HOLDS, LACKS, LEVELS, NAMES, describe
from runhook.runner.probe import SWITCHED_OFF, Found, probe
from runhook.runner.spec import IsolationSpec

AUTO, REQUIRED, OFF = "auto", "required", "off"
WRITE = ":rw"
OPEN_BELOW = ("attempts", "cache")


@dataclass(frozen=True)
class Isolation:
    """`spec` is what attempts are told; `obstacles` are sentences about each better level."""

    setting: str
    found: Found
    spec: IsolationSpec

    @classmethod
    def of(cls, setting: str, data: Path, folders: str = "") -> "Isolation":
        """As the machine is now. `folders` are opened to runs: `/srv/data, /srv/out:rw`.
        SettingsError for settings that are none."""
        if setting not in (AUTO, REQUIRED, OFF):
            raise SettingsError(
                f"cannot start: RUNHOOK_RUNS_ISOLATION is {setting!r}; write auto, required or off"
            )
        found = Found(LEVELS[-1], (SWITCHED_OFF,)) if setting == OFF else probe()
        readable, writable = opened_folders(folders)
        hidden = hidden_folders(data)
        spec = IsolationSpec(found.level, hidden, readable=readable, writable=writable)
        return cls(setting, found, spec)

    @property
    def sentence(self) -> str:
        """As it stands on the page of a run."""
        return describe(self.found.level)

    @property
    def holds(self) -> list[str]:
        return list(HOLDS[self.found.level])

    @property
    def lacks(self) -> list[str]:
        return list(LACKS[self.found.level])

    def refusal(self) -> str | None:
        """Why no run may start, if isolation is required and there is not enough of it."""
        if self.setting != REQUIRED or self.found.level in BOXED:
            return None
        return (
            "isolation is required (RUNHOOK_RUNS_ISOLATION), but this machine only gives "
            f"{NAMES[self.found.level]}: {'; '.join(self.found.obstacles)}"
        )

    def prepare(self, data: Path) -> None:
        """Where a system user of their own is all that keeps runs apart, they have to pass through
        the data directory: close what else is in it."""
        if self.found.level != "own_user":
            return
        for path in data.iterdir():
            if path.name not in OPEN_BELOW and not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700)
        for path in (data, *(data / name for name in OPEN_BELOW)):
            path.mkdir(exist_ok=True)
            path.chmod(0o711)


def opened_folders(text: str) -> tuple[list[str], list[str]]:
    """`/srv/data, /srv/out:rw` → those to read, those to write. SettingsError for anything else."""
    readable: list[str] = []
    writable: list[str] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        path = item.removesuffix(WRITE)
        if not os.path.isabs(path):
            raise SettingsError(
                f"cannot start: RUNHOOK_RUNS_FOLDERS: {item!r} is no folder to open; write "
                "/srv/data, /srv/out:rw"
            )
        (writable if item.endswith(WRITE) else readable).append(path)
    return readable, writable


def hidden_folders(data: Path) -> list[str]:
    """What no run is to see: all that the server keeps, and the home of the server's user."""
    homes = [os.environ.get("HOME", "")]
    with suppress(KeyError):
        homes.append(pwd.getpwuid(os.geteuid()).pw_dir)
    return [str(data), *(home for home in dict.fromkeys(homes) if os.path.isabs(home))]
