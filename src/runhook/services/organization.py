"""The one organisation of a server, for clients that know several: everybody with an account
belongs to it, and it is named in the settings."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from runhook.errors import NotFound
from runhook.model.access import Caller, Group, User
from runhook.model.people import Owner, organization_id
from runhook.services import members
from runhook.services.access import require_scope
from runhook.store import identities, people
from runhook.store.database import Transaction


@dataclass(frozen=True)
class Organization:
    """It is as old as the first account."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True)
class OwnerView:
    """An owner with the person or the group that it is."""

    owner: Owner
    created_at: datetime
    user: User | None = None
    group: Group | None = None


def get(tx: Transaction, caller: Caller, name: str, org_id: str | None = None) -> Organization:
    """The organisation called `name`; NotFound if another one is asked for."""
    require_scope(caller, "user:read")
    ours = organization_id(name)
    if org_id not in (None, ours):
        raise NotFound(
            f"there is no organisation {org_id} here", hint=f"There is one, {name}: {ours}."
        )
    return Organization(ours, name, people.first_account_at(tx))


def owners(tx: Transaction, caller: Caller) -> list[OwnerView]:
    """Every owner that the caller may use, by name; an administrator's are all."""
    require_scope(caller, "user:read")
    if caller.admin:
        views = _views(tx, people.all_owners(tx), None)
    else:
        known = members.owners(tx, caller)
        views = _views(tx, known, {each.name for each in known})
    return sorted(views, key=lambda each: each.owner.name)


def member(tx: Transaction, caller: Caller, who: str) -> OwnerView:
    """A person, by id or name: oneself, or anybody for an administrator. NotFound for others."""
    require_scope(caller, "user:read")
    user = people.find_user(tx, who)
    if user is None or not (caller.admin or user.id == caller.user_id):
        raise NotFound(f"there is no member {who} here")
    return of_person(tx, user)


def of_person(tx: Transaction, user: User) -> OwnerView:
    """The owner that a person is."""
    owner = Owner(user.owner, "user", user.id)
    return OwnerView(owner, identities.created_at(tx, user.id), user=user)


def _views(
    tx: Transaction, owners: Sequence[Owner], names: Collection[str] | None
) -> list[OwnerView]:
    """Each with its person or group, read at once: those of these names (None: all)."""
    groups = {each.id: each for each in people.list_groups(tx, names)}
    users = {user.id: (user, at) for user, at in people.users_owning(tx, names)}
    of_groups = [
        OwnerView(each, groups[each.id].created_at, group=groups[each.id])
        for each in owners
        if each.kind == "group" and each.id in groups
    ]
    return of_groups + [
        OwnerView(Owner(each.name, "user", each.id), users[each.id][1], user=users[each.id][0])
        for each in owners
        if each.kind == "user" and each.id in users
    ]
