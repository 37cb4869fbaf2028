"""Rows of the audit log: appended, never changed; the database itself refuses that."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from runhook.store.database import Transaction
from runhook.store.tables import audit
from runhook.store.text import clean, cleaned

LONGEST = 255


@dataclass(frozen=True)
class Entry:
    """One change or start: who (by which credential, from where) did what to which thing.

    `before` and `after` hold what the change is about, never a secret's value. `user_id` is None
    where nobody in particular acted, such as a schedule.
    """

    at: datetime
    user_id: str | None
    user_name: str
    via: str
    address: str
    action: str
    kind: str
    object_id: str
    object_name: str
    owner: str
    before: Any = None
    after: Any = None
    id: int = 0


def append(tx: Transaction, entry: Entry) -> None:
    """Add an entry; `id` is given by the database."""
    row = {name: value for name, value in vars(entry).items() if name != "id"}
    for name in ("user_name", "via", "object_name"):
        row[name] = clean(row[name], LONGEST)
    row["before"], row["after"] = cleaned(entry.before), cleaned(entry.after)
    tx.execute(insert(audit), row)
