"""Rows of the audit log: appended, never changed; the database itself refuses that."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, or_, select

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


@dataclass(frozen=True)
class Wanted:
    """Which entries: all that every given field says. `owners` None is those of all owners and of
    the server; `action` is the beginning of one, `user` a name or id, `text` a part of a name;
    `since` is included, `until` is not."""

    owners: Collection[str] | None = None
    action: str | None = None
    kind: str | None = None
    object_id: str | None = None
    user: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """As SQL."""
        columns = audit.c
        for column, value in ((columns.kind, self.kind), (columns.object_id, self.object_id)):
            if value is not None:
                yield column == value
        if self.owners is not None:
            yield columns.owner.in_(self.owners)
        if self.action is not None:
            yield columns.action.startswith(self.action, autoescape=True)
        if self.user is not None:
            yield or_(columns.user_id == self.user, columns.user_name == self.user)
        if self.since is not None:
            yield columns.at >= self.since
        if self.until is not None:
            yield columns.at < self.until
        if self.text is not None:
            named = (columns.object_name, columns.user_name, columns.owner)
            yield or_(*(column.icontains(self.text, autoescape=True) for column in named))


def newest_first(
    tx: Transaction,
    wanted: Wanted,
    *,
    size: int,
    after: int | None = None,
    before: int | None = None,
) -> list[Entry]:
    """At most `size` entries, newest first: those after the entry with the id `after` in this
    order, or those just before the one with the id `before`."""
    statement = select(audit).where(*wanted.conditions()).limit(size)
    if before is not None:
        rows = tx.execute(statement.where(audit.c.id > before).order_by(audit.c.id)).all()
        return [_entry_of(row) for row in reversed(rows)]
    if after is not None:
        statement = statement.where(audit.c.id < after)
    return [_entry_of(row) for row in tx.execute(statement.order_by(audit.c.id.desc()))]


def oldest_first(
    tx: Transaction, wanted: Wanted, *, size: int, above: int, up_to: int
) -> list[Entry]:
    """At most `size` entries with ids above one, and up to another one, by id."""
    place = (audit.c.id > above, audit.c.id <= up_to)
    statement = select(audit).where(*wanted.conditions(), *place).order_by(audit.c.id).limit(size)
    return [_entry_of(row) for row in tx.execute(statement)]


def newest_id(tx: Transaction) -> int:
    """The id of the newest entry; 0 if there is none."""
    return tx.execute(select(func.max(audit.c.id))).scalar_one() or 0


def _entry_of(row: Row[Any]) -> Entry:
    return Entry(**row._mapping)
