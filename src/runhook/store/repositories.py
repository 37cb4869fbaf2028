"""Rows of repositories that were added by their address, and the addresses that jobs name."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select

from runhook.model.source import default_folder, workspace_path
from runhook.store.database import Transaction
from runhook.store.tables import jobs, repositories


@dataclass(frozen=True)
class Added:
    """A repository that somebody added; `credential_id` is the key that it names, if any."""

    id: str
    owner: str
    url: str
    credential_id: str | None
    created_at: datetime


@dataclass(frozen=True)
class Use:
    """A job that names an address."""

    job_id: str
    job_name: str
    owner: str
    url: str
    folder: str
    since: datetime


def put(tx: Transaction, added: Added) -> None:
    """Keep it, in place of what was kept under its id."""
    remove(tx, added.id)
    tx.execute(insert(repositories).values(**vars(added)))


def remove(tx: Transaction, repository_id: str) -> None:
    tx.execute(delete(repositories).where(repositories.c.id == repository_id))


def find(tx: Transaction, repository_id: str) -> Added | None:
    statement = select(repositories).where(repositories.c.id == repository_id)
    row = tx.execute(statement).one_or_none()
    return None if row is None else _added_of(row)


def list_added(
    tx: Transaction, owners: Collection[str] | None, urls: Sequence[str] | None = None
) -> list[Added]:
    """Those of some owners (None: of all), and of some addresses."""
    statement = select(repositories)
    if owners is not None:
        statement = statement.where(repositories.c.owner.in_(owners))
    if urls is not None:
        statement = statement.where(repositories.c.url.in_(urls))
    return [_added_of(row) for row in tx.execute(statement)]


def uses(tx: Transaction, owners: Collection[str] | None) -> list[Use]:
    """Every address that a job of some owners (None: of all) names, as often as it is named."""
    named = jobs.c.spec["git_repositories"].label("named")
    statement = select(jobs.c.id, jobs.c.name, jobs.c.owner, jobs.c.created_at, named)
    statement = statement.where(jobs.c.deleted_at.is_(None))
    if owners is not None:
        statement = statement.where(jobs.c.owner.in_(owners))
    return [
        Use(row.id, row.name, row.owner, each["url"], _folder(each), row.created_at)
        for row in tx.execute(statement.order_by(jobs.c.created_at, jobs.c.id))
        for each in row.named or ()
    ]


def _folder(named: dict[str, Any]) -> str:
    """As `Repository.folder` has it."""
    path = named.get("path")
    return workspace_path(path) if path else default_folder(named["url"])


def _added_of(row: Row[Any]) -> Added:
    return Added(**{name: row._mapping[name] for name in Added.__dataclass_fields__})
