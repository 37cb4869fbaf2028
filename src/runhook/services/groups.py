"""Groups: owners that are no person. Administrators of the server make them; their own admins
describe, fill and delete them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from runhook.errors import Invalid, NotFound
from runhook.model.access import Caller, Group, Role
from runhook.model.people import GroupChange, NewGroup
from runhook.services import audit
from runhook.services.access import require, require_admin, visible_owners
from runhook.services.people import require_empty, require_free
from runhook.store import people
from runhook.store.database import Transaction
from runhook.store.tables import new_id


def list_all(tx: Transaction, caller: Caller, name: str = "") -> Sequence[Group]:
    """The groups that the caller belongs to, an administrator's being all; `name` is a part."""
    return people.list_groups(tx, visible_owners(caller, "members:read"), name)


def get(tx: Transaction, caller: Caller, which: str, action: str = "members:read") -> Group:
    """The group with that id or name, if the caller may do `action` in it."""
    group = people.find_group(tx, which)
    what = f"group {which}"
    if group is None:
        raise NotFound(f"there is no {what} here")
    require(caller, action, group.owner, what=what)
    return group


def create(
    tx: Transaction, caller: Caller, organization: str, new: NewGroup, now: datetime
) -> Group:
    """A new group, whose first admin is who made it. Conflict if the name is taken."""
    require_admin(caller, "users:write")
    people.lock_people(tx)
    require_free(tx, "groupname", new.groupname)
    owner = f"{organization}/{new.groupname}"
    group = Group(new_id(), new.groupname, owner, new.description, now)
    people.insert_group(tx, group)
    people.set_member(tx, owner, caller.user_id, Role.ADMIN, "manual", now)
    _record(tx, caller, "group.created", group, now, after={"description": new.description})
    return group


def change(
    tx: Transaction, caller: Caller, which: str, wanted: GroupChange, now: datetime
) -> Group:
    """The group with another description; its name stays, since its things are known by it."""
    group = get(tx, caller, which, "members:write")
    if wanted.groupname not in (None, group.name):
        sentence = "names stay, since what belongs to a group is known by its own"
        raise Invalid("cannot rename a group", details={"groupname": sentence})
    if wanted.description is None or wanted.description == group.description:
        return group
    people.describe_group(tx, group.id, wanted.description)
    before, after = {"description": group.description}, {"description": wanted.description}
    _record(tx, caller, "group.changed", group, now, before, after)
    return get(tx, caller, group.id, "members:write")


def delete(tx: Transaction, caller: Caller, which: str, now: datetime) -> None:
    """Remove the group and everybody's role in it. Conflict while it owns anything."""
    people.lock_people(tx)
    group = get(tx, caller, which, "members:write")
    require_empty(tx, group.owner)
    members = {member.name: member.role for member in people.list_members(tx, group.owner)}
    people.delete_group(tx, group)
    before = {"description": group.description, "members": members}
    _record(tx, caller, "group.deleted", group, now, before)


def _record(
    tx: Transaction,
    caller: Caller,
    action: str,
    group: Group,
    now: datetime,
    before: Any = None,
    after: Any = None,
) -> None:
    audit.record(
        tx,
        caller,
        action,
        now,
        kind="group",
        id=group.id,
        name=group.name,
        owner=group.owner,
        before=before,
        after=after,
    )
