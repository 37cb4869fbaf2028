"""Who has which role on an owner's things: in a group, or where a person shares their own."""

from collections.abc import Sequence
from datetime import datetime

from runhook.errors import Conflict, NotFound
from runhook.model.access import Caller, Member, Role, User
from runhook.model.people import Owner
from runhook.services import audit
from runhook.services.access import require, require_scope
from runhook.store import identities, people
from runhook.store.database import Transaction


def list_all(tx: Transaction, caller: Caller, owner: str) -> Sequence[Member]:
    """The members of an owner by name. A person is not among those of their own things."""
    require(caller, "members:read", owner, what=f"owner {owner}")
    return people.list_members(tx, owner)


def put(tx: Transaction, caller: Caller, owner: str, who: str, role: Role, now: datetime) -> Member:
    """Give `who` (an id or a name) a role on an owner, instead of the one they have.

    Conflict if a group would be left without an admin, or if it is the owner themself.
    """
    people.lock_people(tx)
    user = find(tx, caller, owner, who)
    if user.owner == owner:
        raise Conflict(f"{user.name} is the admin of their own things already")
    known = _role(tx, owner, user)
    if known is Role.ADMIN and role is not Role.ADMIN:
        _require_another_admin(tx, owner, user)
    people.set_member(tx, owner, user.id, role, "manual", now)
    if known is not role:
        _record(tx, caller, "member.set", owner, user, now, known, role)
    return Member(owner, user.id, user.name, role, "manual", now)


def remove(tx: Transaction, caller: Caller, owner: str, who: str, now: datetime) -> None:
    """Take the role from `who`. NotFound if they have none (also when repeated); Conflict if a
    group would be left without an admin."""
    people.lock_people(tx)
    user = find(tx, caller, owner, who)
    known = _role(tx, owner, user)
    if known is None:
        raise NotFound(f"{user.name} has no role here")
    if known is Role.ADMIN:
        _require_another_admin(tx, owner, user)
    people.remove_member(tx, owner, user.id)
    _record(tx, caller, "member.removed", owner, user, now, known, None)


def owners(tx: Transaction, caller: Caller) -> Sequence[Owner]:
    """The owners whose things the caller may use, with the role on each: their own first, then by
    name. To an administrator of the server every group belongs, with the role of an admin."""
    require_scope(caller, "user:read")
    names = {caller.owner, *caller.roles}
    if caller.admin:
        names |= {group.owner for group in people.list_groups(tx)}
    found = people.owners_named(tx, names).values()
    return sorted(
        (Owner(each.name, each.kind, each.id, caller.role_on(each.name)) for each in found),
        key=lambda each: (each.name != caller.owner, each.name),
    )


def owners_of(tx: Transaction, user: User) -> Sequence[Owner]:
    """The same for somebody else, for a caller that has made sure of the right to it."""
    return owners(tx, user.caller(identities.roles_of(tx, user.id)))


def require_owner(tx: Transaction, caller: Caller, owner: str) -> None:
    """Raise NotFound if there is no such owner: an administrator's role reaches everywhere, but
    things cannot belong to nobody."""
    if owner != caller.owner and owner not in people.owners_named(tx, [owner]):
        raise NotFound(
            f"there is no owner {owner} here", hint="An owner is written organisation/name."
        )


def find(tx: Transaction, caller: Caller, owner: str, who: str) -> User:
    """The account with that id or name, for one who may give roles on `owner`."""
    require(caller, "members:write", owner, what=f"owner {owner}")
    user = people.find_user(tx, who)
    if user is None:
        raise NotFound(f"there is no user {who} here")
    return user


def _role(tx: Transaction, owner: str, user: User) -> Role | None:
    members = people.list_members(tx, owner)
    return next((member.role for member in members if member.user_id == user.id), None)


def _require_another_admin(tx: Transaction, owner: str, user: User) -> None:
    if people.owners_named(tx, [owner])[owner].kind == "user":
        return
    members = people.list_members(tx, owner)
    if not any(each.role is Role.ADMIN and each.user_id != user.id for each in members):
        raise Conflict(
            f"{user.name} is the last admin of {owner}",
            hint="Make another member an admin first.",
        )


def _record(
    tx: Transaction,
    caller: Caller,
    action: str,
    owner: str,
    user: User,
    now: datetime,
    before: Role | None,
    after: Role | None,
) -> None:
    audit.record(
        tx,
        caller,
        action,
        now,
        kind="member",
        id=user.id,
        name=user.name,
        owner=owner,
        before={"role": before} if before else None,
        after={"role": after} if after else None,
    )
