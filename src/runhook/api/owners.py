"""Whose things a call is about, in each of the compatible contract's ways: in the query of a list,
and in a body. Used wherever our own API takes `owner_name` or `owner`."""

from typing import Any

from runhook.api.call import Call, Query
from runhook.services import owners
from runhook.store.database import Transaction

QUERIES = (
    Query("owner_name", "organisation/identity; default: all that you see."),
    Query("owner", "The same."),
    Query("owner_id", "An owner's id."),
    Query("user_id", "An account's id: its own things."),
    Query("group_id", "A group's id: its things."),
    Query("org_id", "The organisation's id: all that you see."),
)


def asked(tx: Transaction, call: Call, action: str) -> str | None:
    """Whose things the query asks for: None for everybody's."""
    given = {each.name: value for each in QUERIES if (value := call.query(each.name))}
    return owners.asked(tx, call.caller, call.server.organization, action, given)


def full_name(call: Call, name: str) -> str:
    """`ada` → `main/ada`."""
    return owners.full_name(call.server.organization, name)


def with_owner(tx: Transaction, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """The body with its `owner` by name, however it was referred to."""
    if body.get("owner") is None:
        return body
    name = owners.named(tx, call.caller, call.server.organization, body["owner"])
    return {**body, "owner": name}
