"""Rows of signing in through a provider: whose account there is whose here, the roles that come
with it, and the attempts that are over."""

import hashlib
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from runhook.bus import CREDENTIALS
from runhook.model.access import Role
from runhook.store.database import Transaction
from runhook.store.tables import identities, memberships, spent_sign_ons, users


class Identity(NamedTuple):
    """An account of a provider, and the one here that it opens. `made_admin`: that one administers
    the server because the provider says so."""

    issuer: str
    subject: str
    user_id: str
    created_at: datetime
    made_admin: bool


def find_identity(tx: Transaction, issuer: str, subject: str) -> Identity | None:
    wanted = (identities.c.issuer == issuer, identities.c.subject == subject)
    row = tx.execute(select(identities).where(*wanted)).one_or_none()
    return None if row is None else Identity(**row._mapping)


def list_identities(tx: Transaction, user_id: str) -> list[Identity]:
    """Those that open an account, oldest first."""
    statement = select(identities).where(identities.c.user_id == user_id)
    rows = tx.execute(statement.order_by(identities.c.created_at, identities.c.issuer))
    return [Identity(**row._mapping) for row in rows]


def insert_identity(tx: Transaction, new: Identity) -> None:
    tx.execute(insert(identities).values(**new._asdict()))


def delete_identities(tx: Transaction, user_id: str, issuer: str) -> int:
    """Forget those of one provider that open an account: how many there were."""
    wanted = (identities.c.user_id == user_id, identities.c.issuer == issuer)
    return tx.execute(delete(identities).where(*wanted)).rowcount


def set_administrator(tx: Transaction, known: Identity, admin: bool) -> None:
    """Make the account an administrator of the server because the provider says so, or take that
    back."""
    mine = (identities.c.issuer == known.issuer, identities.c.subject == known.subject)
    tx.execute(update(identities).where(*mine).values(made_admin=admin))
    tx.execute(update(users).where(users.c.id == known.user_id).values(admin=admin))
    tx.publish(CREDENTIALS)


def count_other_administrators(tx: Transaction, user_id: str) -> int:
    """Accounts that administer the server and may sign in, without this one."""
    wanted = (users.c.admin.is_(True), users.c.disabled.is_(False), users.c.id != user_id)
    return int(tx.execute(select(func.count()).select_from(users).where(*wanted)).scalar_one())


def memberships_of(tx: Transaction, user_id: str) -> dict[str, tuple[Role, str]]:
    """Owner → role there, and its source."""
    statement = select(memberships).where(memberships.c.user_id == user_id)
    return {row.owner: (Role(row.role), row.source) for row in tx.execute(statement)}


def spend(tx: Transaction, state: str, now: datetime, expires_at: datetime) -> bool:
    """Note that an attempt to sign in is over; False if it was over already. What could not be used
    any more anyway is forgotten."""
    tx.execute(delete(spent_sign_ons).where(spent_sign_ons.c.expires_at <= now))
    add = postgresql.insert if tx.dialect == "postgresql" else sqlite.insert
    digest = hashlib.sha256(state.encode()).hexdigest()
    row = add(spent_sign_ons).values(state_hash=digest, expires_at=expires_at)
    statement = row.on_conflict_do_nothing().returning(spent_sign_ons.c.state_hash)
    return tx.execute(statement).one_or_none() is not None
