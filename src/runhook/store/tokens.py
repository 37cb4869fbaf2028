"""Rows of named tokens. Of every token only a hash is kept.

A token is looked up by the SHA-256 of 178 random bits. That the lookup's time depends on the hash
helps nobody: to learn a stored hash digit by digit one would have to choose the hashes that are
looked up, and they cannot be chosen, only the tokens can.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, and_, delete, insert, or_, select, update

from runhook.bus import CREDENTIALS
from runhook.model.token import Token
from runhook.store.database import Transaction
from runhook.store.identities import digest
from runhook.store.tables import spent_refreshes, tokens

NOTED_EVERY = timedelta(minutes=1)


def insert_token(tx: Transaction, token: Token, access: str, refresh: str | None) -> None:
    hashes = {"token_hash": digest(access), "refresh_hash": refresh and digest(refresh)}
    tx.execute(insert(tokens).values(**vars(token), **hashes))


def get_token(tx: Transaction, token_id: str) -> Token | None:
    return _found(tx, select(tokens).where(tokens.c.id == token_id))


def find_by_access(tx: Transaction, access: str) -> Token | None:
    """The token that this access token is of, expired or not."""
    return _found(tx, select(tokens).where(tokens.c.token_hash == digest(access)))


def find_by_refresh(tx: Transaction, refresh: str) -> Token | None:
    """The token that this refresh token refreshes, expired or not."""
    return _found(tx, select(tokens).where(tokens.c.refresh_hash == digest(refresh)))


def find_by_spent(tx: Transaction, refresh: str) -> Token | None:
    """The token that this refresh token did refresh, once, however long ago."""
    spent = select(spent_refreshes.c.token_id).where(spent_refreshes.c.hash == digest(refresh))
    return _found(tx, select(tokens).where(tokens.c.id.in_(spent)))


def list_tokens(
    tx: Transaction,
    user_id: str,
    *,
    size: int,
    after: tuple[datetime, str] | None = None,
    before: tuple[datetime, str] | None = None,
) -> list[Token]:
    """An account's tokens, newest first; `after` and `before` are (created_at, id) at the edge of a
    page."""
    statement = select(tokens).where(tokens.c.user_id == user_id)
    at, key = tokens.c.created_at, tokens.c.id
    if after:
        statement = statement.where(or_(at < after[0], and_(at == after[0], key < after[1])))
    if before:
        statement = statement.where(or_(at > before[0], and_(at == before[0], key > before[1])))
        statement = statement.order_by(at, key)
    else:
        statement = statement.order_by(at.desc(), key.desc())
    found = [_token_of(row) for row in tx.execute(statement.limit(size))]
    return found[::-1] if before else found


def set_description(tx: Transaction, token_id: str, description: str) -> None:
    tx.execute(update(tokens).where(tokens.c.id == token_id).values(description=description))


def exchange(
    tx: Transaction,
    token_id: str,
    spent: str,
    fresh: tuple[str, str],
    expires_at: datetime | None,
    refresh_expires_at: datetime | None,
    now: datetime,
) -> bool:
    """Put the fresh pair (access, refresh) in the place of the old one, if `spent` is the present
    refresh token: of several at once exactly one gets True. The old pair opens nothing more."""
    access, refresh = (digest(each) for each in fresh)
    statement = (
        update(tokens)
        .where(tokens.c.id == token_id, tokens.c.refresh_hash == digest(spent))
        .values(
            token_hash=access,
            refresh_hash=refresh,
            expires_at=expires_at,
            refresh_expires_at=refresh_expires_at,
        )
        .returning(tokens.c.id)
    )
    if tx.execute(statement).scalar_one_or_none() is None:
        return False
    values = {"hash": digest(spent), "token_id": token_id, "spent_at": now}
    tx.execute(insert(spent_refreshes).values(**values))
    return True


def note_use(tx: Transaction, token_id: str, address: str, now: datetime) -> None:
    """Keep when and from where it was used, unless that was noted within the last minute (or at an
    instant that has not come: the clock was set back)."""
    last = tokens.c.last_used_at
    due = or_(last.is_(None), last <= now - NOTED_EVERY, last > now)
    values = {"last_used_at": now, "last_address": address[:64]}
    tx.execute(update(tokens).where(tokens.c.id == token_id, due).values(**values))


def delete_token(tx: Transaction, token_id: str) -> bool:
    """It opens nothing from the commit on. False if it is gone already."""
    statement = delete(tokens).where(tokens.c.id == token_id).returning(tokens.c.id)
    tx.publish(CREDENTIALS)
    return tx.execute(statement).scalar_one_or_none() is not None


def _found(tx: Transaction, statement: Select[Any]) -> Token | None:
    row = tx.execute(statement).one_or_none()
    return None if row is None else _token_of(row)


def _token_of(row: Row[Any]) -> Token:
    return Token(**{name: row._mapping[name] for name in Token.__dataclass_fields__})
