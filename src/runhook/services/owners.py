"""Owners as the compatible contract refers to them: by name, by an id, by whose identity it is."""

from collections.abc import Collection, Mapping
from typing import Any

from runhook.errors import Invalid, NotFound
from runhook.model.access import Caller
from runhook.model.people import Owner, organization_id, owner_id
from runhook.services.access import visible_owners
from runhook.store import people
from runhook.store.database import Transaction

NOBODY = ""
"""The name of no owner: a list of their things is empty."""
SELECTORS = ("owner_name", "owner", "owner_id", "user_id", "group_id", "org_id")
BY_REFERENCE = ("id", "user_id", "group_id", "org_id")


def full_name(organization: str, name: str) -> str:
    """`ada` or `main/ada` → `main/ada`: the organisation may be left out."""
    return name if "/" in name else f"{organization}/{name}"


def visible(tx: Transaction, caller: Caller, action: str) -> Collection[Owner]:
    """The owners that the caller may list things of."""
    names = visible_owners(caller, action)
    if names is None:
        return people.all_owners(tx)
    return list(people.owners_named(tx, names).values())


def asked(
    tx: Transaction, caller: Caller, organization: str, action: str, given: Mapping[str, str]
) -> str | None:
    """Whose things a list is to hold: None for everybody's, a name, or NOBODY if there is none
    that fits. Of several of `SELECTORS` all must mean the same owner."""
    names = [
        name
        for selector, value in given.items()
        if (name := _selected(tx, caller, organization, action, selector, value)) is not None
    ]
    if not names:
        return None
    return names[0] if len(set(names)) == 1 else NOBODY


def _selected(
    tx: Transaction, caller: Caller, organization: str, action: str, selector: str, value: str
) -> str | None:
    match selector:
        case "owner_name" | "owner":
            return full_name(organization, value)
        case "org_id":
            return None if value == organization_id(organization) else NOBODY
        case "owner_id":
            known = visible(tx, caller, action)
            return next((each.name for each in known if owner_id(each.name) == value), NOBODY)
        case _:
            return _of_identity(tx, selector, value) or NOBODY


def _of_identity(tx: Transaction, selector: str, value: str) -> str | None:
    """The owner that a person or a group is."""
    who = people.find_user(tx, value) if selector == "user_id" else people.find_group(tx, value)
    return who.owner if who else None


def named(tx: Transaction, caller: Caller, organization: str, reference: Any) -> Any:
    """The name of the owner whom a body refers to, such as `{'user_id': …}` or `{'id': …}`.

    What is no reference is given back, for the model of the body to refuse. NotFound if the caller
    knows no such owner; Invalid for an organisation, to which nothing belongs here.
    """
    if isinstance(reference, str):
        return full_name(organization, reference) if reference else reference
    if not isinstance(reference, dict):
        return reference
    given = {name: value for name, value in reference.items() if value is not None}
    if set(given) == {"name"} and isinstance(given["name"], str):
        return full_name(organization, given["name"])
    if len(given) != 1 or not set(given) <= {*BY_REFERENCE}:
        return reference
    ((selector, value),) = given.items()
    if selector == "org_id":
        sentence = "things belong to a person or a group; write organisation/name"
        raise Invalid("cannot find this owner", details={"owner": sentence})
    if not isinstance(value, str):
        return reference
    selector = "owner_id" if selector == "id" else selector
    found = _selected(tx, caller, organization, "jobs:read", selector, value)
    if not found or caller.role_on(found) is None:
        raise NotFound(f"there is no owner {value} here")
    return found
