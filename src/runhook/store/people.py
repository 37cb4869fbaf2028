"""Rows of people, groups, and the roles that people have on owners."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Row,
    Select,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    union_all,
    update,
)

from runhook.bus import CREDENTIALS
from runhook.model.access import Group, Member, Role, User
from runhook.model.people import Owner
from runhook.store.database import Transaction
from runhook.store.tables import (
    git_credentials,
    groups,
    jobs,
    memberships,
    repositories,
    secrets,
    sessions,
    sign_in_links,
    users,
)

ADVISORY_LOCK = 4_701_003


def lock_people(tx: Transaction) -> None:
    """Let people and groups be changed one after another until the transaction ends: names are
    unique across two tables, and somebody must stay an administrator."""
    if tx.dialect == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})


def find_user(tx: Transaction, name_or_id: str) -> User | None:
    """The account with that id, else with that name."""
    for column in (users.c.id, users.c.name):
        row = tx.execute(select(users).where(column == name_or_id)).one_or_none()
        if row is not None:
            return _user_of(row)
    return None


def find_user_by_name(tx: Transaction, name: str) -> User | None:
    row = tx.execute(select(users).where(users.c.name == name)).one_or_none()
    return None if row is None else _user_of(row)


def may_act(tx: Transaction, owner: str, user_id: str | None) -> bool:
    """May a run still act for `owner`, having been started by that account (None: by none)? Not if
    the person whose things these are, or who started it, is disabled or gone."""
    named = users.c.name == owner.rpartition("/")[2]
    statement = select(users.c.id, users.c.disabled).where(
        or_(named & (users.c.owner == owner), users.c.id == user_id)
    )
    found = {row.id: row.disabled for row in tx.execute(statement)}
    return not any(found.values()) and (not user_id or user_id in found)


def list_users(
    tx: Transaction, *, name: str = "", email: str = "", size: int = 1000
) -> list[tuple[User, datetime]]:
    """Accounts with when they were made, by name; `name` and `email` are parts, letter case
    ignored."""
    statement = select(users).order_by(users.c.name).limit(size)
    for column, part in ((users.c.name, name), (users.c.email, email)):
        if part:
            statement = statement.where(column.icontains(part, autoescape=True))
    return [(_user_of(row), row.created_at) for row in tx.execute(statement)]


def users_owning(
    tx: Transaction, owners: Collection[str] | None = None
) -> list[tuple[User, datetime]]:
    """The accounts that these owners (None: all) are, with when they were made."""
    statement = select(users)
    if owners is not None:
        statement = statement.where(users.c.owner.in_(owners))
    return [(_user_of(row), row.created_at) for row in tx.execute(statement)]


def update_user(tx: Transaction, user_id: str, **values: Any) -> None:
    """Change columns of an account."""
    tx.execute(update(users).where(users.c.id == user_id).values(**values))
    tx.publish(CREDENTIALS)


def delete_user(tx: Transaction, user: User) -> None:
    """Remove an account with its tokens, sessions, links and memberships, and what others were
    given on its owner."""
    _forget_owner(tx, user.owner)
    tx.execute(delete(users).where(users.c.id == user.id))
    tx.publish(CREDENTIALS)


def count_administrators(tx: Transaction) -> int:
    """Accounts that administer the server and may sign in."""
    wanted = select(func.count()).where(users.c.admin.is_(True), users.c.disabled.is_(False))
    return int(tx.execute(wanted).scalar_one())


def end_access(tx: Transaction, user_id: str, *, but: str | None = None) -> None:
    """Remove the sessions and unused links of an account, except the session with the hash
    `but`."""
    ended = delete(sessions).where(sessions.c.user_id == user_id)
    tx.execute(ended if but is None else ended.where(sessions.c.id_hash != but))
    tx.execute(delete(sign_in_links).where(sign_in_links.c.user_id == user_id))


def insert_group(tx: Transaction, group: Group) -> None:
    tx.execute(insert(groups).values(**vars(group)))


def find_group(tx: Transaction, name_or_id: str) -> Group | None:
    """The group with that id, else with that name."""
    for column in (groups.c.id, groups.c.name):
        row = tx.execute(select(groups).where(column == name_or_id)).one_or_none()
        if row is not None:
            return _group_of(row)
    return None


def list_groups(
    tx: Transaction, owners: Collection[str] | None = None, name: str = ""
) -> list[Group]:
    """Groups by name: those among `owners` (None: all) with `name` in their name."""
    statement = select(groups).order_by(groups.c.name)
    if owners is not None:
        statement = statement.where(groups.c.owner.in_(owners))
    if name:
        statement = statement.where(groups.c.name.icontains(name, autoescape=True))
    return [_group_of(row) for row in tx.execute(statement)]


def describe_group(tx: Transaction, group_id: str, description: str) -> None:
    tx.execute(update(groups).where(groups.c.id == group_id).values(description=description))


def delete_group(tx: Transaction, group: Group) -> None:
    """Remove a group and its memberships."""
    _forget_owner(tx, group.owner)
    tx.execute(delete(groups).where(groups.c.id == group.id))


def is_taken(tx: Transaction, name: str) -> bool:
    """Is a user or a group called so?"""
    taken = union_all(
        select(users.c.id).where(users.c.name == name),
        select(groups.c.id).where(groups.c.name == name),
    )
    return tx.execute(taken).first() is not None


def owners_named(tx: Transaction, names: Collection[str]) -> dict[str, Owner]:
    """What the owners of these names (`organisation/identity`) are; one that is not there is left
    out."""
    identities = {name.rpartition("/")[2] for name in names}
    found = union_all(
        select(users.c.owner, literal("user").label("kind"), users.c.id).where(
            users.c.name.in_(identities)
        ),
        select(groups.c.owner, literal("group").label("kind"), groups.c.id).where(
            groups.c.name.in_(identities)
        ),
    )
    rows = tx.execute(found)
    return {row.owner: Owner(row.owner, row.kind, row.id) for row in rows if row.owner in names}


def first_account_at(tx: Transaction) -> datetime:
    """When the oldest account was made: a server that answers has one."""
    at = tx.execute(select(func.min(users.c.created_at))).scalar_one()
    assert isinstance(at, datetime)
    return at


def _forget_owner(tx: Transaction, owner: str) -> None:
    """Remove what others were given on an owner, and the addresses it knows."""
    for table in (memberships, repositories):
        tx.execute(delete(table).where(table.c.owner == owner))


def all_owners(tx: Transaction) -> list[Owner]:
    """Every person and group, by name."""
    found = union_all(
        select(users.c.owner, literal("user").label("kind"), users.c.id),
        select(groups.c.owner, literal("group").label("kind"), groups.c.id),
    )
    rows = tx.execute(found)
    return sorted((Owner(row.owner, row.kind, row.id) for row in rows), key=lambda each: each.name)


def holdings(tx: Transaction, owner: str) -> dict[str, int]:
    """How many things of each kind an owner has; kinds without any are left out."""
    counts = {
        "job": _count(jobs.c.owner == owner, jobs.c.deleted_at.is_(None)),
        "git credential": _count(git_credentials.c.owner == owner),
        "secret": _count(secrets.c.owner == owner),
    }
    found = {kind: int(tx.execute(query).scalar_one()) for kind, query in counts.items()}
    return {kind: number for kind, number in found.items() if number}


def _count(*conditions: Any) -> Select[int]:
    return select(func.count()).where(*conditions)


def list_members(tx: Transaction, owner: str) -> list[Member]:
    """Who has which role on an owner, by name."""
    statement = (
        select(memberships, users.c.name)
        .join(users, users.c.id == memberships.c.user_id)
        .where(memberships.c.owner == owner)
        .order_by(users.c.name)
    )
    return [
        Member(row.owner, row.user_id, row.name, Role(row.role), row.source, row.created_at)
        for row in tx.execute(statement)
    ]


def set_member(
    tx: Transaction, owner: str, user_id: str, role: Role, source: str, now: datetime
) -> None:
    """Give somebody a role on an owner, instead of the one they have."""
    remove_member(tx, owner, user_id)
    values = {"owner": owner, "user_id": user_id, "role": role, "source": source}
    tx.execute(insert(memberships).values(**values, created_at=now))


def remove_member(tx: Transaction, owner: str, user_id: str) -> None:
    tx.execute(
        delete(memberships).where(memberships.c.owner == owner, memberships.c.user_id == user_id)
    )
    tx.publish(CREDENTIALS)


def _user_of(row: Row[Any]) -> User:
    return User(**{name: row._mapping[name] for name in User.__dataclass_fields__})


def _group_of(row: Row[Any]) -> Group:
    return Group(**{name: row._mapping[name] for name in Group.__dataclass_fields__})
