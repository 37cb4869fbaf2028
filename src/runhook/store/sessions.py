"""Rows of sessions; of a session's id only a hash is kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, or_, select, update

from runhook.bus import CREDENTIALS
from runhook.model.access import User
from runhook.store.database import Transaction
from runhook.store.identities import digest
from runhook.store.tables import sessions, users
from runhook.store.text import clean


@dataclass(frozen=True)
class Session:
    """A browser that is signed in: since when, until when, last seen when, from where."""

    id_hash: str
    user_id: str
    created_at: datetime
    expires_at: datetime
    seen_at: datetime | None
    address: str
    agent: str


def insert_session(
    tx: Transaction,
    session_id: str,
    user_id: str,
    now: datetime,
    expires_at: datetime,
    address: str = "",
    agent: str = "",
) -> None:
    tx.execute(
        insert(sessions).values(
            id_hash=digest(session_id),
            user_id=user_id,
            created_at=now,
            expires_at=expires_at,
            seen_at=now,
            address=clean(address, 64),
            agent=clean(agent, 255),
        )
    )


def find_session(
    tx: Transaction, session_id: str, now: datetime
) -> tuple[User, datetime | None] | None:
    """Whose session it is, and when it was last seen; None if it is unknown or over."""
    row = tx.execute(
        select(users, sessions.c.seen_at)
        .join(sessions, sessions.c.user_id == users.c.id)
        .where(sessions.c.id_hash == digest(session_id), sessions.c.expires_at > now)
    ).one_or_none()
    if row is None:
        return None
    user = User(**{name: row._mapping[name] for name in User.__dataclass_fields__})
    return user, row.seen_at


def list_sessions(tx: Transaction, user_id: str, now: datetime) -> list[Session]:
    """The sessions of an account that are not over, newest first."""
    statement = (
        select(sessions)
        .where(sessions.c.user_id == user_id, sessions.c.expires_at > now)
        .order_by(sessions.c.created_at.desc(), sessions.c.id_hash)
    )
    return [Session(**row._mapping) for row in tx.execute(statement)]


def anybody_signed_in(tx: Transaction, now: datetime) -> bool:
    """Is there any session that is not over?"""
    statement = select(sessions.c.id_hash).where(sessions.c.expires_at > now).limit(1)
    return tx.execute(statement).one_or_none() is not None


def note_seen(tx: Transaction, session_id: str, now: datetime, after: timedelta) -> None:
    """The session was used; written only if the last time noted is `after` ago or longer."""
    tx.execute(
        update(sessions)
        .where(
            sessions.c.id_hash == digest(session_id),
            or_(sessions.c.seen_at.is_(None), sessions.c.seen_at <= now - after),
        )
        .values(seen_at=now)
    )


def delete_session(tx: Transaction, id_hash: str, user_id: str) -> bool:
    """Remove a session of that account; False if there is none."""
    found = tx.execute(
        delete(sessions)
        .where(sessions.c.id_hash == id_hash, sessions.c.user_id == user_id)
        .returning(sessions.c.id_hash)
    )
    tx.publish(CREDENTIALS)
    return found.one_or_none() is not None


def delete_sessions(tx: Transaction, user_id: str, *, but: str = "") -> int:
    """Remove every session of an account except the one with the hash `but`: how many."""
    found = tx.execute(
        delete(sessions)
        .where(sessions.c.user_id == user_id, sessions.c.id_hash != but)
        .returning(sessions.c.id_hash)
    )
    tx.publish(CREDENTIALS)
    return len(found.all())
