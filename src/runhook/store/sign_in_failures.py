"""Rows of failed sign-ins in a row, by a key that says neither name nor address."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from runhook.store.database import Transaction
from runhook.store.tables import sign_in_failures as failures


@dataclass(frozen=True)
class Failures:
    """How many in a row, and when the last one was."""

    count: int
    last_at: datetime


def find(tx: Transaction, key: str) -> Failures | None:
    """What is counted under a key; others who count there wait until the transaction ends."""
    if tx.dialect == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
    statement = select(failures.c.count, failures.c.last_at).where(failures.c.key == key)
    row = tx.execute(statement).mappings().one_or_none()
    return None if row is None else Failures(row["count"], row["last_at"])


def count(tx: Transaction, key: str, now: datetime) -> None:
    """One more."""
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[tx.dialect]
    statement = dialect.insert(failures).values(key=key, count=1, last_at=now)
    more = {"count": failures.c.count + 1, "last_at": now}
    tx.execute(statement.on_conflict_do_update(index_elements=["key"], set_=more))


def uncount(tx: Transaction, key: str) -> None:
    """One less: it was no failure."""
    known = failures.c.key == key
    tx.execute(update(failures).where(known).values(count=failures.c.count - 1))
    tx.execute(delete(failures).where(known, failures.c.count <= 0))


def forget(tx: Transaction, key: str) -> None:
    """None any more."""
    tx.execute(delete(failures).where(failures.c.key == key))


def forget_before(tx: Transaction, instant: datetime) -> None:
    """Forget those whose last one was before `instant`."""
    tx.execute(delete(failures).where(failures.c.last_at < instant))
