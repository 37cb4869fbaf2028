"""Rows of resolved lists of packages, each kept once under the hash of its text."""

import hashlib

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from runhook.store.database import Transaction
from runhook.store.tables import locks
from runhook.store.text import clean


def keep_lock(tx: Transaction, text: str) -> str:
    """Keep a resolved list of packages, once, under the hash of its text, which is returned."""
    text = clean(text, None) or ""
    lock_id = hashlib.sha256(text.encode()).hexdigest()
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[tx.dialect]
    statement = dialect.insert(locks).values(id=lock_id, text=text)
    tx.execute(statement.on_conflict_do_nothing(index_elements=["id"]))
    return lock_id


def get_lock(tx: Transaction, lock_id: str) -> str | None:
    return tx.execute(select(locks.c.text).where(locks.c.id == lock_id)).scalar_one_or_none()
