"""Changing the key that encrypts at rest, in steps that may be cut off at any moment:

1. a new key is put before the present ones in the key file, and is on the disk;
2. everything stored is encrypted anew with it, in one transaction;
3. the old keys are dropped from the file.

Between any two of them the file opens everything, so a server starts, and rotating again finishes
the work. Where the ring is given by a setting or a command, only the second step is done here.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from runhook import keyfile
from runhook.model.access import Caller
from runhook.places import sole_server
from runhook.ring import Ring, Source
from runhook.services import audit, git_access, run_secrets, secrets
from runhook.store import sealed
from runhook.store.database import Database, Transaction

OPERATOR = Caller("", "whoever runs the server", "", via="rotate-key")
"""For the audit log: nobody is signed in where the server's files are changed."""


@dataclass(frozen=True)
class Rotated:
    """How much was encrypted anew; `dropped` old keys are gone from the file, or, where it is not
    ours to change (`by_hand`), may be taken out of the ring now."""

    count: int
    dropped: int
    by_hand: bool


async def rotate(source: Source, data: Path, database: Database, now: datetime) -> Rotated:
    """Have everything encrypted with a new key.

    SettingsError while a server uses the directory: it has read the ring at its start, and could
    open nothing any more.
    """
    with sole_server(data):
        ring = source.open(sealed.key_ids(database.engine))
        if source.is_file:
            ring = ring.with_new_key()
            keyfile.replace(source.file, ring.text().encode())
        count = await database.write(lambda tx: _reseal(tx, ring, now))
        if source.is_file:
            keyfile.replace(source.file, ring.first().text().encode())
    return Rotated(count, len(ring.ids) - 1, not source.is_file)


def _reseal(tx: Transaction, ring: Ring, now: datetime) -> int:
    count = git_access.reseal(tx, ring) + secrets.reseal(tx, ring)
    count += run_secrets.reseal(tx, ring)
    identity = ring.ids[0].hex()
    audit.record(tx, OPERATOR, "key.rotated", now, kind="key", id=identity, name="secrets")
    return count
