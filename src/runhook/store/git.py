"""Rows of git credentials and known hosts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from runhook.model.git_access import GitCredentialInfo, KnownHost
from runhook.store.database import Transaction
from runhook.store.tables import git_credentials, known_hosts


def insert_credential(tx: Transaction, info: GitCredentialInfo, sealed: bytes) -> bool:
    """Keep a credential; `sealed` is its secret part, encrypted. False, and nothing changed, if
    its owner has one of that name."""
    return _insert(tx, git_credentials, {**vars(info), "secret": sealed}, "owner", "name")


def get_credential(tx: Transaction, credential_id: str) -> GitCredentialInfo | None:
    statement = select(git_credentials).where(git_credentials.c.id == credential_id)
    row = tx.execute(statement).one_or_none()
    return None if row is None else _info_of(row)


def list_credentials(tx: Transaction, owners: Sequence[str] | None) -> list[GitCredentialInfo]:
    """The credentials of some owners (None: of all), by name."""
    statement = select(git_credentials).order_by(git_credentials.c.name, git_credentials.c.id)
    if owners is not None:
        statement = statement.where(git_credentials.c.owner.in_(owners))
    return [_info_of(row) for row in tx.execute(statement)]


def sealed_secret(tx: Transaction, credential_id: str) -> bytes:
    """The encrypted part of a credential."""
    statement = select(git_credentials.c.secret).where(git_credentials.c.id == credential_id)
    return bytes(tx.execute(statement).scalar_one())


def update_credential(tx: Transaction, info: GitCredentialInfo, sealed: bytes) -> None:
    """The row of that id, as `info` and `sealed` say. Its name must be free."""
    statement = update(git_credentials).where(git_credentials.c.id == info.id)
    tx.execute(statement.values(**vars(info), secret=sealed))


def replace_sealed(tx: Transaction, credential_id: str, sealed: bytes) -> None:
    """Keep the secret part of a credential as it was encrypted anew."""
    statement = update(git_credentials).where(git_credentials.c.id == credential_id)
    tx.execute(statement.values(secret=sealed))


def delete_credential(tx: Transaction, credential_id: str) -> None:
    tx.execute(delete(git_credentials).where(git_credentials.c.id == credential_id))


def insert_host(tx: Transaction, host: KnownHost) -> bool:
    """Keep a host key; False, and nothing changed, if that host's key is kept already."""
    values = {name: value for name, value in vars(host).items() if name != "changed"}
    return _insert(tx, known_hosts, values, "host", "fingerprint")


def get_host(tx: Transaction, host_id: str) -> KnownHost | None:
    """One host key, with `changed` as lists show it."""
    host = tx.execute(
        select(known_hosts.c.host).where(known_hosts.c.id == host_id)
    ).scalar_one_or_none()
    beside = list_hosts(tx, host) if host else []
    return next((each for each in beside if each.id == host_id), None)


def list_hosts(tx: Transaction, host: str | None = None) -> list[KnownHost]:
    """Every key that was shown or added, or those of one host; by host and age."""
    order = (known_hosts.c.host, known_hosts.c.first_seen_at, known_hosts.c.id)
    statement = select(known_hosts).order_by(*order)
    if host is not None:
        statement = statement.where(known_hosts.c.host == host)
    found = [_host_of(row) for row in tx.execute(statement)]
    confirmed = defaultdict(list)
    for each in found:
        if each.confirmed_at:
            confirmed[each.host].append(each)
    return [
        replace(each, changed=any(each.contradicts(other) for other in confirmed[each.host]))
        for each in found
    ]


def confirm_host(tx: Transaction, host_id: str, user_id: str, now: datetime) -> None:
    """Note who believes the key and since when; repeating it changes nothing."""
    tx.execute(
        update(known_hosts)
        .where(known_hosts.c.id == host_id, known_hosts.c.confirmed_at.is_(None))
        .values(confirmed_at=now, confirmed_by=user_id)
    )


def delete_host(tx: Transaction, host_id: str) -> None:
    tx.execute(delete(known_hosts).where(known_hosts.c.id == host_id))


def trim_unconfirmed_hosts(tx: Transaction, most: int) -> None:
    """Forget the oldest unconfirmed keys until at most `most` are left."""
    newest_first = (known_hosts.c.first_seen_at.desc(), known_hosts.c.id)
    surplus = (
        select(known_hosts.c.id)
        .where(known_hosts.c.confirmed_at.is_(None))
        .order_by(*newest_first)
        .offset(most)
    )
    tx.execute(delete(known_hosts).where(known_hosts.c.id.in_(surplus)))


def _insert(tx: Transaction, table: Table, values: dict[str, Any], *unique: str) -> bool:
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[tx.dialect]
    statement = dialect.insert(table).values(**values)
    statement = statement.on_conflict_do_nothing(index_elements=unique).returning(table.c.id)
    return tx.execute(statement).one_or_none() is not None


def _info_of(row: Row[Any]) -> GitCredentialInfo:
    names = GitCredentialInfo.__dataclass_fields__
    return GitCredentialInfo(**{name: row._mapping[name] for name in names})


def _host_of(row: Row[Any]) -> KnownHost:
    names = [name for name in KnownHost.__dataclass_fields__ if name != "changed"]
    return KnownHost(**{name: row._mapping[name] for name in names})
