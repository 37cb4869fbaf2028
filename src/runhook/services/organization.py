"""The one organisation of a server, for clients that know several: everybody with an account
belongs to it, and it is named in the settings."""

from collections.abc import Sequence
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
        known: Sequence[Owner] = people.all_owners(tx)
    else:
        known = members.owners(tx, caller)
    return sorted(
        (view for each in known if (view := _view(tx, each))), key=lambda each: each.owner.name
    )


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


def _view(tx: Transaction, owner: Owner) -> OwnerView | None:
    if owner.kind == "group":
        group = people.find_group(tx, owner.id)
        return OwnerView(owner, group.created_at, group=group) if group else None
    user = people.find_user(tx, owner.id)
    return of_person(tx, user) if user else None
