"""A server made again from a backup, in a directory and a database that are empty.

The backup is read twice: once to see that it is whole and known, when nothing is changed, and once
to take out what it holds. Files are put into `<data>/restoring` and the rows into one transaction;
only when all is there and on the disk, rows are committed and the files moved up, the keys last.
No server starts on rows without their key, so what is interrupted at any moment is no server.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from runhook.archive import BLOCK, Member, damaged, members, private, sync_directory
from runhook.backup import FILE, FORMAT, KEY, MANIFEST, RING, ROWS, TOML, Manifest, open_rows
from runhook.errors import Conflict, SettingsError, Unavailable
from runhook.keys import KEY_BYTES
from runhook.ring import LONGEST as LONGEST_RING
from runhook.ring import Ring
from runhook.runner.spec import Identity
from runhook.store.attempts import disown
from runhook.store.portable import Loader, loading, require_known

STAGING = "restoring"
LONGEST_MANIFEST = 1024 * 1024
NOBODY = asdict(Identity("restored from a backup", 1, 0))
"""A handle of no process: what lived when the backup was taken is found to be gone."""


@dataclass(frozen=True)
class Restored:
    """What was made: how many rows of each table, and how many `files`, of which backup; `lost`
    attempts lived when it was taken."""

    manifest: Manifest
    counts: Counter[str]
    lost: int


def restore(backup: Path, data: Path, url_with: Callable[[Path | None], str]) -> Restored:
    """Make the server of `backup` again, in `data`, which must be empty or absent.

    `url_with` tells which database the server will use with this runhook.toml (None: without any),
    so that the rows go where it will look for them; empty means the file in its directory.

    Malformed if the backup cannot be used, Conflict if there is something in the directory or the
    database already, Unavailable if something cannot be written: nothing is changed then.
    """
    manifest, toml = _examine(backup)
    with _staging(data) as staging:
        if toml is not None:
            with open(staging / TOML, "xb", opener=private) as file:
                file.write(toml)
        url = url_with(None if toml is None else staging / TOML)
        with (
            open_rows(url, staging) as database,
            loading(database.engine, manifest.revision) as loader,
        ):
            counts = _take_out(backup, staging, loader)
            lost = disown(loader.finish(), NOBODY)
            os.sync()  # one for all files
            _require_empty(data, but=STAGING)
    return Restored(manifest, counts, lost)


def _examine(backup: Path) -> tuple[Manifest, bytes | None]:
    """Read all of it: the manifest and the settings file, if it is whole and has what it must."""
    manifest: Manifest | None = None
    toml: bytes | None = None
    has_key = False
    for member in members(backup):
        if manifest is None:
            manifest = _manifest(member)
        elif member.name == TOML:
            toml = member.read(member.size)
        elif member.name == KEY:
            has_key = member.size == KEY_BYTES
        elif member.name == RING:
            _require_ring(member)
        elif not (ROWS.fullmatch(member.name) or FILE.fullmatch(member.name)):
            raise damaged(backup, f"there should be no {member.name!r} in it")
    if manifest is None or not has_key:
        raise damaged(backup, f"there is no usable {KEY if manifest else MANIFEST} in it")
    return manifest, toml


def _require_ring(member: Member) -> None:
    try:
        Ring.parse(member.read(LONGEST_RING).decode("ascii"), RING)
    except (SettingsError, ValueError):
        raise damaged(member.archive, f"{RING} in it holds no keys") from None


def _manifest(member: Member) -> Manifest:
    """What the first member says; Malformed or Conflict if this program cannot go by it."""
    try:
        values = json.loads(member.read(LONGEST_MANIFEST)) if member.name == MANIFEST else {}
        if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
            raise Conflict(
                f"cannot restore {member.archive}: its format is {values['format']!r} and this "
                f"Runhook knows only {FORMAT}; use the Runhook that made it, or a newer one"
            )
        manifest = Manifest(**values)
    except (ValueError, TypeError, RecursionError):
        raise damaged(member.archive, f"it does not begin with a {MANIFEST}") from None
    require_known(str(manifest.revision), f"the backup {member.archive}")
    return manifest


@contextmanager
def _staging(data: Path) -> Iterator[Path]:
    """A directory to put everything in; what is there at the end of the block is moved to `data`.
    If the block fails, nothing of it is left."""
    made = not data.exists()
    staging = data / STAGING
    try:
        if not made:
            _require_empty(data)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        staging.mkdir(mode=0o700)
        try:
            yield staging
            _move_up(staging, data)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise Unavailable(f"cannot restore into {data}: {error}") from None
    finally:
        if made:
            with suppress(OSError):  # it holds what was restored
                data.rmdir()


def _require_empty(data: Path, *, but: str = "") -> None:
    """Conflict if there is more in the directory than the entry `but`."""
    for name in sorted(os.listdir(data)):
        if name != but:
            raise Conflict(
                f"cannot restore into {data} because it is not empty: there is {name} in it",
                hint=f"If a restore was interrupted there, remove {data / STAGING}."
                if name == STAGING
                else "Name a directory that is empty or not there yet; nothing was changed.",
            )


def _take_out(backup: Path, staging: Path, loader: Loader) -> Counter[str]:
    """Rows to the loader, files to the staging directory; how many of each."""
    counts: Counter[str] = Counter()
    for member in members(backup):
        if match := ROWS.fullmatch(member.name):
            counts[match[1]] += _load(member, match[1], loader)
        elif member.name in (KEY, RING) or FILE.fullmatch(member.name):
            _write(staging / member.name, member)
            counts["files"] += member.name not in (KEY, RING)
    return counts


def _load(member: Member, table: str, loader: Loader) -> int:
    try:
        rows = [json.loads(line) for line in member.read(member.size).splitlines()]
        loader.insert(table, rows)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(member.archive, f"{member.name} in it cannot be used: {error}") from None
    return len(rows)


def _write(path: Path, member: Member) -> None:
    """A new file for its owner alone; never through a link, never over another."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "xb", opener=private) as file:
        while data := member.read(BLOCK):
            file.write(data)


def _move_up(staging: Path, data: Path) -> None:
    """The keys go last: what there is without it, no server uses."""
    for name in sorted(os.listdir(staging), key=lambda name: name == Path(KEY).parts[0]):
        os.rename(staging / name, data / name)
    staging.rmdir()
    sync_directory(data)
    sync_directory(data.parent)
