"""Rows of git credentials and known hosts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from runhook.model.git_access import GitCredentialInfo, KnownHost
from runhook.store.database import Transaction
from runhook.store.tables import git_credentials, known_hosts


def insert_credential(tx: Transaction, info: GitCredentialInfo, sealed: bytes) -> None:
    """Keep a credential; `sealed` is its secret part, encrypted."""
    tx.execute(insert(git_credentials).values(**vars(info), secret=sealed))


def get_credential(tx: Transaction, credential_id: str) -> GitCredentialInfo | None:
    statement = select(git_credentials).where(git_credentials.c.id == credential_id)
    row = tx.execute(statement).one_or_none()
    return None if row is None else _info_of(row)


def find_credential(tx: Transaction, owner: str, name: str) -> GitCredentialInfo | None:
    statement = select(git_credentials).where(
        git_credentials.c.owner == owner, git_credentials.c.name == name
    )
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


def delete_credential(tx: Transaction, credential_id: str) -> None:
    tx.execute(delete(git_credentials).where(git_credentials.c.id == credential_id))


def insert_host(tx: Transaction, host: KnownHost) -> None:
    values = {name: value for name, value in vars(host).items() if name != "changed"}
    tx.execute(insert(known_hosts).values(**values))


def list_hosts(tx: Transaction) -> list[KnownHost]:
    """Every key that was shown or added, by host and age; `changed` where it contradicts one
    that is confirmed."""
    order = (known_hosts.c.host, known_hosts.c.first_seen_at, known_hosts.c.id)
    found = [_host_of(row) for row in tx.execute(select(known_hosts).order_by(*order))]
    confirmed = {(each.host, _type(each)) for each in found if each.confirmed_at}
    return [KnownHost(**{**vars(each), "changed": _contradicts(each, confirmed)}) for each in found]


def _contradicts(host: KnownHost, confirmed: set[tuple[str, str]]) -> bool:
    return host.confirmed_at is None and (host.host, _type(host)) in confirmed


def _type(host: KnownHost) -> str:
    return host.key.partition(" ")[0]


def confirm_host(tx: Transaction, host_id: str, user_id: str, now: datetime) -> None:
    values = {"confirmed_at": now, "confirmed_by": user_id}
    tx.execute(update(known_hosts).where(known_hosts.c.id == host_id).values(**values))


def delete_host(tx: Transaction, host_id: str) -> None:
    tx.execute(delete(known_hosts).where(known_hosts.c.id == host_id))


def _info_of(row: Row[Any]) -> GitCredentialInfo:
    names = GitCredentialInfo.__dataclass_fields__
    return GitCredentialInfo(**{name: row._mapping[name] for name in names})


def _host_of(row: Row[Any]) -> KnownHost:
    names = [name for name in KnownHost.__dataclass_fields__ if name != "changed"]
    return KnownHost(**{name: row._mapping[name] for name in names})
