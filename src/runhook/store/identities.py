"""Rows of accounts, sessions and sign-in links. Of every credential only a hash is kept."""

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

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
    """The account made at the first start."""
    statement = select(users).where(users.c.admin.is_(True)).order_by(users.c.created_at).limit(1)
    return _user_of(tx.execute(statement).one_or_none())


def user_names(tx: Transaction, *user_ids: str | None) -> dict[str, str]:
    """Names of accounts by id; an unknown id is left out."""
    statement = select(users.c.id, users.c.name).where(users.c.id.in_(set(user_ids) - {None}))
    return {row.id: row.name for row in tx.execute(statement)}


def insert_session(
    tx: Transaction, session_id: str, user_id: str, now: datetime, expires_at: datetime
) -> None:
    values = {"user_id": user_id, "created_at": now, "expires_at": expires_at}
    tx.execute(insert(sessions).values(id_hash=digest(session_id), **values))


def find_user_by_session(tx: Transaction, session_id: str, now: datetime) -> User | None:
    statement = (
        select(users)
        .join(sessions, sessions.c.user_id == users.c.id)
        .where(sessions.c.id_hash == digest(session_id), sessions.c.expires_at > now)
    )
    return _user_of(tx.execute(statement).one_or_none())


def anybody_signed_in(tx: Transaction, now: datetime) -> bool:
    """Is there any session that is not over?"""
    statement = select(sessions.c.id_hash).where(sessions.c.expires_at > now).limit(1)
    return tx.execute(statement).one_or_none() is not None


def delete_session(tx: Transaction, session_id: str) -> None:
    tx.execute(delete(sessions).where(sessions.c.id_hash == digest(session_id)))
    tx.publish(CREDENTIALS)


def delete_expired(tx: Transaction, now: datetime) -> None:
    """Forget sessions and sign-in links that no longer open anything."""
    tx.execute(delete(sessions).where(sessions.c.expires_at <= now))
    tx.execute(delete(sign_in_links).where(sign_in_links.c.expires_at <= now))


def insert_sign_in_link(
    tx: Transaction, token: str, user_id: str, now: datetime, expires_at: datetime
) -> None:
    values = {"user_id": user_id, "created_at": now, "expires_at": expires_at}
    tx.execute(insert(sign_in_links).values(token_hash=digest(token), **values))


def use_sign_in_link(tx: Transaction, token: str, now: datetime) -> User | None:
    """The account that the link opens, once; None if it is unknown, used or expired."""
    user_id = tx.execute(
        update(sign_in_links)
        .where(
            sign_in_links.c.token_hash == digest(token),
            sign_in_links.c.used_at.is_(None),
            sign_in_links.c.expires_at > now,
        )
        .values(used_at=now)
        .returning(sign_in_links.c.user_id)
    ).scalar_one_or_none()
    return None if user_id is None else get_user(tx, user_id)


def _user_of(row: Row[Any] | None) -> User | None:
    if row is None:
        return None
    return User(**{name: row._mapping[name] for name in User.__dataclass_fields__})
