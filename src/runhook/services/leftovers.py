"""What stands below the attempts' root and is nobody's: scratch of attempts that ended without
tidying up, and directories that no row knows. Nothing else there is ever touched."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runhook.disk import tree_size
from runhook.runner.held import Held
from runhook.runner.scratch import SCRATCH
from runhook.store import retention
from runhook.store.database import Transaction

ID = re.compile(r"[0-9a-f]{32}")
SHARDS = tuple(f"{number:02x}" for number in range(256))
OWN_TIME = timedelta(minutes=10)
"""In which a runner that has written its result removes its scratch itself."""
UNKNOWN_FOR = timedelta(days=1)
ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class Leftover:
    """A folder to remove; `name` says which without saying where."""

    name: str
    path: Path
    reason: str

    @property
    def bytes(self) -> int:
        """What it takes, looked up now."""
        return tree_size(self.path)


def find(tx: Transaction, root: Path, shards: Sequence[str], now: datetime) -> list[Leftover]:
    """What is left over in these shards (some of `SHARDS`) of the attempts' root."""
    found = []
    for shard in shards:
        ids = attempts_in(root, shard)
        for start in range(0, len(ids), ROWS_AT_ONCE):
            some = ids[start : start + ROWS_AT_ONCE]
            found += leftovers(root, some, retention.ends_of_attempts(tx, some), now)
    return found


def attempts_in(root: Path, shard: str) -> list[str]:
    """The ids of the attempts that have a directory in this one of `SHARDS`."""
    folder = root / shard
    if folder.is_symlink():
        return []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return [entry.name for entry in entries if _is_attempt(entry, shard)]
    return []


def _is_attempt(entry: os.DirEntry[str], shard: str) -> bool:
    named = ID.fullmatch(entry.name) and entry.name.startswith(shard)
    return bool(named) and entry.is_dir(follow_symlinks=False)


def leftovers(
    root: Path, attempt_ids: list[str], ends: Mapping[str, datetime | None], now: datetime
) -> list[Leftover]:
    """What of these attempts' directories is left over. `ends` says when each attempt ended (None:
    it lives); those missing there are unknown. What a held kernel stands in is its runner's."""
    found = []
    for attempt_id in attempt_ids:
        directory = root / attempt_id[:2] / attempt_id
        if attempt_id not in ends:
            found += _unknown(directory, now)
        elif (ended := ends[attempt_id]) and now - ended > OWN_TIME and not Held.of(directory):
            found += _scratch(directory)
    return found


def _unknown(directory: Path, now: datetime) -> list[Leftover]:
    try:
        changed = datetime.fromtimestamp(directory.stat(follow_symlinks=False).st_mtime, UTC)
    except FileNotFoundError:
        return []
    if now - changed <= UNKNOWN_FOR:
        return []
    return [Leftover(f"attempts/{directory.name}", directory, "no run knows it")]


def _scratch(directory: Path) -> list[Leftover]:
    paths = [directory / name for name in SCRATCH]
    reason = "the attempt has ended"
    return [
        Leftover(f"attempts/{directory.name}/{path.name}", path, reason)
        for path in paths
        if path.is_dir() and not path.is_symlink()
    ]
