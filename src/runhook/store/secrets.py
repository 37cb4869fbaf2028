"""Rows of secrets."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from runhook.model.secret import SecretInfo
from runhook.store.database import Transaction
from runhook.store.pages import in_page
from runhook.store.tables import secrets


def insert_secret(tx: Transaction, info: SecretInfo, sealed: bytes) -> bool:
    """Keep a secret; `sealed` is its value, encrypted. False, and nothing changed, if its owner has
    one of that name."""
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[tx.dialect]
    statement = (
        dialect.insert(secrets)
        .values(**vars(info), sealed=sealed)
        .on_conflict_do_nothing(index_elements=["owner", "name"])
        .returning(secrets.c.id)
    )
    return tx.execute(statement).one_or_none() is not None


def update_secret(tx: Transaction, info: SecretInfo, sealed: bytes) -> None:
    """The row of that id, as `info` and `sealed` say. Its name must be free."""
    statement = update(secrets).where(secrets.c.id == info.id)
    tx.execute(statement.values(**vars(info), sealed=sealed))


def get_secret(tx: Transaction, secret_id: str) -> SecretInfo | None:
    row = tx.execute(select(secrets).where(secrets.c.id == secret_id)).one_or_none()
    return None if row is None else _info_of(row)


def find_secret(tx: Transaction, owner: str, name: str) -> SecretInfo | None:
    statement = select(secrets).where(secrets.c.owner == owner, secrets.c.name == name)
    row = tx.execute(statement).one_or_none()
    return None if row is None else _info_of(row)


def list_secrets(
    tx: Transaction,
    *,
    size: int,
    owners: Collection[str] | None = None,
    owner: str | None = None,
    name: str = "",
    access: str | None = None,
    after: tuple[str, str] | None = None,
    before: tuple[str, str] | None = None,
    descending: bool = False,
) -> list[SecretInfo]:
    """By name: those of `owners` (None: of all), and those for the whole organisation.

    `owner` and `access` narrow it down, `name` is part of the names wanted, letter case ignored;
    `after` and `before` are (name, id) of the secret at the edge of a page.
    """
    statement = select(secrets)
    if owners is not None:
        statement = statement.where(or_(secrets.c.owner.in_(owners), secrets.c.access == "org"))
    if owner is not None:
        statement = statement.where(secrets.c.owner == owner)
    if access is not None:
        statement = statement.where(secrets.c.access == access)
    if name:
        statement = statement.where(secrets.c.name.icontains(name, autoescape=True))
    page = in_page((secrets.c.name, secrets.c.id), after, before, descending)
    found = [_info_of(row) for row in tx.execute(page(statement).limit(size))]
    return found[::-1] if before else found


def sealed_value(tx: Transaction, secret_id: str) -> bytes:
    """The encrypted value."""
    statement = select(secrets.c.sealed).where(secrets.c.id == secret_id)
    return bytes(tx.execute(statement).scalar_one())


def all_sealed(tx: Transaction) -> list[tuple[SecretInfo, bytes]]:
    """Every secret with its encrypted value."""
    rows = tx.execute(select(secrets).order_by(secrets.c.id)).all()
    return [(_info_of(row), bytes(row.sealed)) for row in rows]


def delete_secret(tx: Transaction, secret_id: str) -> None:
    tx.execute(delete(secrets).where(secrets.c.id == secret_id))


def _info_of(row: Row[Any]) -> SecretInfo:
    names = SecretInfo.__dataclass_fields__
    return SecretInfo(**{name: row._mapping[name] for name in names})
