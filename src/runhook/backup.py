"""A server's whole memory in one file, taken while it serves. `restore` makes a server from it.

    manifest.json                 format, program, database revision, instant
    runhook.toml                  if there is one in the data directory
    database/<table>/<n>.jsonl    rows, see `store.portable`
    keys/server.key
    keys/secrets.key              where the keys that encrypt at rest are in a file
    attempts/<xx>/<id>/…          what each attempt left; nothing of its workspace

The rows are of one moment, the files are read after it: they may know more than the rows, never
less. Only the keys that encrypt at rest are read before it, too: a rotation may drop one meanwhile
that the rows need. Left out is what is made again: mirrors and environments. The file: `archive`.
"""

import errno
import json
import os
import re
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from runhook import __version__, keyfile
from runhook.archive import BLOCK, Writer, writing
from runhook.errors import Conflict
from runhook.ring import FILE as RING_FILE
from runhook.ring import Ring
from runhook.store.database import Database, sqlite_url
from runhook.store.portable import snapshot

FORMAT = 1
MANIFEST, TOML, KEY, DATABASE = "manifest.json", "runhook.toml", "keys/server.key", "runhook.db"
RING = f"keys/{RING_FILE}"
KEPT = (
    *("spec.json", "log", "log.index", "events.jsonl", "cells.jsonl", "lock.txt"),
    *("result.json", "result-value.json", "runner.json"),
)
DEEPEST = 64
"""Levels of folders among artifacts; deeper ones are left out, since each holds a descriptor."""

ROWS = re.compile(r"database/([a-z_]{1,63})/[0-9]{6,12}\.jsonl")
FILE = re.compile(
    r"attempts/([0-9a-f]{2})/\1[0-9a-f]{30}/"
    rf"(?:{'|'.join(map(re.escape, KEPT))}|artifacts/.+)",
    re.DOTALL,
)
NOT_A_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


@dataclass(frozen=True)
class Manifest:
    """What stands first in a backup. `created_at` is ISO 8601; `files`: are attempts' in it?"""

    format: int
    runhook: str
    revision: str
    created_at: str
    files: bool


def open_rows(url: str, directory: Path) -> "closing[Database]":
    """The database at `url` as it stands, nothing is migrated; the file in `directory` if that is
    empty. To be used as a context."""
    return closing(Database(url or sqlite_url(directory / DATABASE)))


def back_up(data: Path, url: str, target: Path, *, files: bool, now: datetime) -> Counter[str]:
    """Write the backup of the server with this data directory, which may be serving, to `target`;
    `url` is that of its database, empty for the file in the directory.

    The answer is how many rows of each table are in it, how many `files` of attempts, and how many
    were `unreadable` and are missing. Without `files`, logs and artifacts are left out. A backup
    that stood at `target` is replaced once the new one is whole, and stays if anything goes wrong.
    Conflict if there is no server; Unavailable if something cannot be read or written.
    """
    for name in (KEY,) if url else (KEY, DATABASE):
        if not (data / name).is_file():
            raise Conflict(f"cannot back up {data}: it is no server's directory, without {name}")
    with writing(target) as archive, tempfile.TemporaryFile() as attempts:
        taking = _Taking(data, archive, attempts)
        before = _ring(data)
        with open_rows(url, data) as database, snapshot(database.engine) as seen:
            manifest = Manifest(FORMAT, __version__, seen.revision, now.isoformat(), files)
            archive.add_bytes(MANIFEST, json.dumps(asdict(manifest)).encode())
            taking.add_file(TOML, data / TOML)
            taking.add_rows(seen.rows)
        if ring := _ring(data).joined(before).text():
            archive.add_bytes(RING, ring.encode())
        if not taking.add_file(KEY, data / KEY):
            raise Conflict(f"cannot back up {data} because {KEY} in it cannot be read")
        if files:
            taking.add_attempts()
    return taking.counts


def _ring(data: Path) -> Ring:
    """The keys in the file; none if there is no file, since a setting or a command gives them."""
    path = data / RING
    if not path.exists():
        return Ring()
    return Ring.parse(keyfile.read(path).decode("ascii", "replace"), str(path))


class _Taking:
    """A backup in the making. `attempts` is a scratch file: the ids of the attempts in it."""

    def __init__(self, data: Path, archive: Writer, attempts: IO[bytes]) -> None:
        self.counts: Counter[str] = Counter()
        self._data = data
        self._archive = archive
        self._attempts = attempts

    def add_rows(self, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """All rows, table by table, in members of some BLOCK bytes."""
        for table, group in groupby(rows, key=itemgetter(0)):
            for number, block in enumerate(_blocks(self._lines(table, group))):
                self._archive.add_bytes(f"database/{table}/{number:06}.jsonl", block)

    def _lines(self, table: str, rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[bytes]:
        for _, row in rows:
            self.counts[table] += 1
            if table == "attempts":
                self._attempts.write(row["id"].encode() + b"\n")
            yield json.dumps(row, separators=(",", ":")).encode() + b"\n"

    def add_attempts(self) -> None:
        """The files of every attempt whose row was added. One that is being removed has fewer."""
        self._attempts.seek(0)
        for line in self._attempts:
            attempt_id = line.decode().strip()
            name = f"attempts/{attempt_id[:2]}/{attempt_id}"
            for kept in KEPT:
                self.counts["files"] += self.add_file(f"{name}/{kept}", self._data / name / kept)
            self._add_artifacts(self._data / name / "artifacts")

    def _add_artifacts(self, top: Path) -> None:
        """Every plain file below `top`. No link is followed, not even one that takes the place of
        a folder at this moment: work under the same system user may have put it there."""
        if not top.is_dir():
            return
        for folder, folders, files, descriptor in os.fwalk(top, onerror=self._note):
            inner = Path(folder).relative_to(self._data)
            if len(inner.parts) > DEEPEST:
                self.counts["unreadable"] += len(folders)
                folders.clear()
            for name in files:
                self.counts["files"] += self.add_file(str(inner / name), name, descriptor)

    def _note(self, error: OSError) -> None:
        self.counts["unreadable"] += error.errno not in NOT_A_FILE

    def add_file(self, name: str, path: str | Path, directory: int | None = None) -> bool:
        """Add what is a plain file, as long as it is now; False if it is none or cannot be read."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(path, flags, dir_fd=directory)
        except OSError as error:
            self._note(error)
            return False
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):  # asked first: Python opens no folder as a file
            os.close(descriptor)
            return False
        with open(descriptor, "rb") as file:
            self._archive.add(name, status.st_size, file)
        return True


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    block = bytearray()
    for line in lines:
        block += line
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)
