"""Rows of accounts and sign-in links. Of every credential only a hash is kept."""

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from runhook.bus import CREDENTIALS
from runhook.model.access import Role, User
from runhook.store.database import Transaction
from runhook.store.tables import memberships, sessions, sign_in_links, users


def digest(credential: str) -> str:
    """What is stored of a token or session id: random ones need one round of SHA-256 only."""
    return hashlib.sha256(credential.encode()).hexdigest()


def insert_user(tx: Transaction, user: User, token: str, now: datetime) -> None:
    tx.execute(insert(users).values(**vars(user), token_hash=digest(token), created_at=now))


def set_token(tx: Transaction, user_id: str, token: str, rotation: int) -> None:
    """Replace the user's token; the old one is worthless from the commit on."""
    values = {"token_hash": digest(token), "token_rotation": rotation}
    tx.execute(update(users).where(users.c.id == user_id).values(**values))
    tx.publish(CREDENTIALS)


def get_user(tx: Transaction, user_id: str) -> User | None:
    return _user_of(tx.execute(select(users).where(users.c.id == user_id)).one_or_none())


def created_at(tx: Transaction, user_id: str) -> datetime:
    """When the account was made."""
    at = tx.execute(select(users.c.created_at).where(users.c.id == user_id)).scalar_one()
    assert isinstance(at, datetime)
    return at


def roles_of(tx: Transaction, user_id: str) -> dict[str, Role]:
    """The memberships of an account: owner → role."""
    statement = select(memberships).where(memberships.c.user_id == user_id)
    return {row.owner: Role(row.role) for row in tx.execute(statement)}


def find_user_by_token(tx: Transaction, token: str) -> User | None:
    statement = select(users).where(users.c.token_hash == digest(token))
    return _user_of(tx.execute(statement).one_or_none())


def first_administrator(tx: Transaction) -> User | None:
    """The account made at the first start, or the oldest administrator's that may sign in."""
    fitting = select(users).where(users.c.admin.is_(True), users.c.disabled.is_(False))
    statement = fitting.order_by(users.c.created_at, users.c.id).limit(1)
    return _user_of(tx.execute(statement).one_or_none())


def user_names(tx: Transaction, *user_ids: str | None) -> dict[str, str]:
    """Names of accounts by id; an unknown id is left out."""
    statement = select(users.c.id, users.c.name).where(users.c.id.in_(set(user_ids) - {None}))
    return {row.id: row.name for row in tx.execute(statement)}


def delete_expired(tx: Transaction, now: datetime) -> None:
    """Forget sessions and sign-in links that no longer open anything."""
    tx.execute(delete(sessions).where(sessions.c.expires_at <= now))
    tx.execute(delete(sign_in_links).where(sign_in_links.c.expires_at <= now))


def insert_sign_in_link(
    tx: Transaction,
    token: str,
    user_id: str,
    now: datetime,
    expires_at: datetime,
    purpose: str = "sign-in",
) -> None:
    values = {"user_id": user_id, "created_at": now, "expires_at": expires_at, "purpose": purpose}
    tx.execute(insert(sign_in_links).values(token_hash=digest(token), **values))


def find_sign_in_link(tx: Transaction, token: str, now: datetime) -> tuple[User, str] | None:
    """Whom the link opens, and its purpose; None if it is unknown, used or expired."""
    row = tx.execute(
        select(users, sign_in_links.c.purpose)
        .join(sign_in_links, sign_in_links.c.user_id == users.c.id)
        .where(*_opens(token, now))
    ).one_or_none()
    user = _user_of(row)
    return (user, row.purpose) if row and user else None


def use_sign_in_link(tx: Transaction, token: str, now: datetime) -> tuple[User, str] | None:
    """The same, and the link is used up: of many who come at once, one gets it."""
    row = tx.execute(
        update(sign_in_links)
        .where(*_opens(token, now))
        .values(used_at=now)
        .returning(sign_in_links.c.user_id, sign_in_links.c.purpose)
    ).one_or_none()
    user = get_user(tx, row.user_id) if row else None
    return (user, row.purpose) if row and user else None


def _opens(token: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        sign_in_links.c.token_hash == digest(token),
        sign_in_links.c.used_at.is_(None),
        sign_in_links.c.expires_at > now,
    )


def delete_sign_in_links(tx: Transaction, user_id: str, purpose: str | None = None) -> None:
    """Forget the links of an account: those of one purpose, or all."""
    wanted = [sign_in_links.c.user_id == user_id]
    if purpose is not None:
        wanted.append(sign_in_links.c.purpose == purpose)
    tx.execute(delete(sign_in_links).where(*wanted))


def password_hash(tx: Transaction, user_id: str) -> str | None:
    """The hash of an account's password; None if it has none."""
    statement = select(users.c.password_hash).where(users.c.id == user_id)
    found = tx.execute(statement).scalar_one_or_none()
    return None if found is None else str(found)


def _user_of(row: Row[Any] | None) -> User | None:
    if row is None:
        return None
    return User(**{name: row._mapping[name] for name in User.__dataclass_fields__})
