"""What attempts share in the cache, environments and mirrors: how old, how large, and removing one.

Their folders and locks are described in `runner/environment.py`, `runner/mirror.py` and
`runner/trees.py`; what removes them here takes the same locks, and never waits for one.
"""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runhook.disk import tree_size
from runhook.runner.held import held_beside
from runhook.runner.locks import locked_if_free
from runhook.runner.mirror import mirror_folder
from runhook.runner.scratch import remove_tree
from runhook.runner.spec import RunSpec
from runhook.services.retention import Bounds, falls_out
from runhook.services.site import Site
from runhook.store import retention
from runhook.store.database import Transaction

ENVIRONMENTS, REPOSITORIES = "environments", "repositories"
QUIET = timedelta(minutes=10)
"""Who uses a cache marks it first and says so a moment later; until then the mark must do."""
SPARED = timedelta(hours=1)
NEARLY_FULL = "the disk is nearly full"
HEXADECIMAL = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Cache:
    """An environment or a mirror; `at` is its last use."""

    kind: str
    path: Path
    at: datetime
    bytes: int

    @property
    def name(self) -> str:
        """`environments/<key>`: which one it is, without saying where it stands."""
        return f"{self.kind}/{self.path.name}"


def list_caches(folder: Path) -> list[Cache]:
    """Every environment and mirror below `folder`, those not used for longest coming first."""
    found = [
        Cache(kind, path, used_at(path), tree_size(path))
        for kind in (ENVIRONMENTS, REPOSITORIES)
        for path in _folders(folder / kind)
    ]
    return sorted(found, key=lambda cache: (cache.at, cache.name))


def _folders(kind: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(kind) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and HEXADECIMAL.issuperset(entry.name):
                yield Path(entry.path)


def used_at(path: Path) -> datetime:
    """The last use of the environment or mirror at `path`: its newest mark, or if it has none, as
    one that was never finished, the time of the folder."""
    marks = [path / "complete", path / "withdrawn", path / "refs.json", *path.glob("trees/*.lock")]
    times = [_time(mark) for mark in marks]
    return datetime.fromtimestamp(max(times) or _time(path), UTC)


def _time(path: Path) -> float:
    try:
        return path.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return 0.0


def in_use(tx: Transaction, site: Site) -> set[str]:
    """The names of what living attempts use, and those whose kernels are held: environments that
    they have reported, and mirrors whose objects their checkouts borrow."""
    held = [directory.name for directory in held_beside(site.hint_socket)]
    names = {f"{ENVIRONMENTS}/{key}" for key in retention.environments_in_use(tx, held)}
    for attempt_id in (*retention.living_attempts(tx), *held):
        with suppress(FileNotFoundError):  # without a spec it has not begun, and uses nothing yet
            spec = RunSpec.load(site.directory(attempt_id))
            folders = [mirror_folder(spec.places.cache, each) for each in spec.repositories]
            names |= {f"{REPOSITORIES}/{folder.name}" for folder in folders}
    return names


def falling_out(
    caches: list[Cache], used: Collection[str], bounds: Bounds, now: datetime, *, full: bool
) -> list[tuple[Cache, str]]:
    """What goes, with the reason. `used` are names that stay whatever the bounds say; if the disk
    is `full`, everything goes that was not used for an hour."""
    loose = [each for each in caches if each.name not in used and now - each.at > QUIET]
    going = list(falls_out(loose, bounds, len(caches), sum(each.bytes for each in caches), now))
    if full:
        early = falls_out(loose[len(going) :], replace(bounds, age=SPARED), 0, 0, now)
        going += [(cache, NEARLY_FULL) for cache, _ in early]
    return going


def remove(cache: Cache) -> bool:
    """Remove it unless somebody has it or has used it since; False then. Cut off at any moment, it
    leaves what an attempt finds unusable and makes anew, and what the next prune removes."""
    removers: dict[str, Callable[[Cache], bool]] = {
        ENVIRONMENTS: _remove_environment,
        REPOSITORIES: _remove_mirror,
    }
    return removers[cache.kind](cache)


def _remove_environment(cache: Cache) -> bool:
    """Take its mark away first. An attempt that has taken the environment has changed the mark's
    time (then it is put back); one that comes later finds no mark and waits for the lock."""
    lock = cache.path.with_suffix(".lock")
    with locked_if_free(lock) as free:
        if not free:
            return False
        mark, withdrawn = cache.path / "complete", cache.path / "withdrawn"
        with suppress(FileNotFoundError):
            os.rename(mark, withdrawn)
        if withdrawn.exists() and used_at(cache.path) != cache.at:
            os.rename(withdrawn, mark)
            return False
        gone = remove_tree(cache.path)
        lock.unlink()
    return gone


def _remove_mirror(cache: Cache) -> bool:
    """Needs the mirror's lock and those of all its trees. The locks go last; one that somebody made
    meanwhile stays, and its holder fetches anew."""
    folder = cache.path
    with ExitStack() as held:
        if not held.enter_context(locked_if_free(folder / "lock")):
            return False
        locks = list(folder.glob("trees/*.lock"))
        if not all(held.enter_context(locked_if_free(lock)) for lock in locks):
            return False
        if used_at(folder) != cache.at:
            return False
        for lock in locks:
            for ending in ("", ".part", ".gone"):
                remove_tree(lock.with_suffix(ending))
        _remove_objects(folder)
        for lock in locks:
            lock.unlink()
        with suppress(OSError):
            (folder / "trees").rmdir()
        (folder / "lock").unlink()
        with suppress(OSError):
            folder.rmdir()
    return not folder.exists()


def _remove_objects(folder: Path) -> None:
    """The mirror as a whole first, so that nobody meets half of one."""
    with suppress(FileNotFoundError):
        remove_tree(folder / "mirror.gone")
        os.rename(folder / "mirror.git", folder / "mirror.gone")
    remove_tree(folder / "mirror.gone")
    for name in ("refs.json", "fetching"):
        (folder / name).unlink(missing_ok=True)
