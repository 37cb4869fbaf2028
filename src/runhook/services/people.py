"""Accounts, as an administrator sees them: list, create with an invitation, change, reset, delete.

Of one's own account `services.identities` and `services.sessions` know; signing in is
`services.sign_in`.
"""

from datetime import datetime, timedelta
from typing import Any

from runhook.errors import Conflict, Invalid, NotFound
from runhook.keys import Keys
from runhook.model.access import Caller, User
from runhook.model.people import NewPerson, OwnChange, PersonChange
from runhook.services import audit, links
from runhook.services.access import require_admin, require_scope
from runhook.store import identities, people
from runhook.store.database import Transaction
from runhook.store.tables import new_id

INVITATION_LASTS = timedelta(days=7)
RESET_LASTS = timedelta(hours=24)


def list_all(
    tx: Transaction, caller: Caller, name: str = "", email: str = ""
) -> list[tuple[User, datetime]]:
    """Accounts by name, with when they were made; `name` and `email` are parts of those wanted."""
    require_admin(caller, "users:read")
    return people.list_users(tx, name=name, email=email)


def require_listing(caller: Caller) -> None:
    """Raise unless the caller may look at everybody's accounts."""
    require_admin(caller, "users:read")


def get(tx: Transaction, caller: Caller, who: str, action: str = "users:read") -> User:
    """The account with that id or name."""
    require_admin(caller, action)
    user = people.find_user(tx, who)
    if user is None:
        raise NotFound(f"there is no user {who} here")
    return user


def invite(
    tx: Transaction, keys: Keys, caller: Caller, organization: str, new: NewPerson, now: datetime
) -> tuple[User, str]:
    """A new account, and the token of a one-time link with which its person sets a password.

    Conflict if a user or group has the name already.
    """
    require_admin(caller, "users:write")
    user = add(tx, keys, organization, new, now)
    _record(tx, caller, "user.created", user, now, after=_told(user))
    return user, _link(tx, caller, user, now, INVITATION_LASTS)


def add(tx: Transaction, keys: Keys, organization: str, new: NewPerson, now: datetime) -> User:
    """A new account, for a caller that has made sure of the right to it and records it: also the
    first sign-in through a provider. Conflict if a user or group has the name already."""
    people.lock_people(tx)
    require_free(tx, "username", new.username)
    user = User(
        id=new_id(),
        name=new.username,
        owner=f"{organization}/{new.username}",
        email=new.email,
        full_name=new.full_name,
        admin=new.admin,
        disabled=new.locked,
    )
    identities.insert_user(tx, user, keys.user_token(user.id, user.token_rotation), now)
    return user


def require_free(tx: Transaction, field: str, name: str) -> None:
    """Raise unless neither a user nor a group is called so."""
    if people.is_taken(tx, name):
        raise Conflict(f"there is a user or group called {name}", details={field: "is taken"})


def change(tx: Transaction, caller: Caller, who: str, wanted: PersonChange, now: datetime) -> User:
    """The account as it is now. Who is disabled is out at once: sessions and links are gone, and
    tokens open nothing until the account is enabled again.

    Conflict if nobody would be left to administer the server.
    """
    people.lock_people(tx)
    user = get(tx, caller, who, "users:write")
    _require_same_name(user, wanted.username)
    given = {
        "email": wanted.email,
        "full_name": wanted.full_name,
        "admin": wanted.admin,
        "disabled": wanted.disabled,
    }
    changes = {n: v for n, v in given.items() if v is not None and v != getattr(user, n)}
    if changes.get("admin") is False or changes.get("disabled"):
        _require_another_administrator(tx, user)
    changed = _put(tx, caller, user, changes, now)
    if changed.disabled:
        people.end_access(tx, user.id)
    return changed


def change_own(tx: Transaction, caller: Caller, wanted: OwnChange, now: datetime) -> User:
    """The caller's own account with another address or full name."""
    require_scope(caller, "user:write")
    user = identities.get_user(tx, caller.user_id)
    if user is None:
        raise NotFound("there is no such account any more")
    _require_same_name(user, wanted.username)
    given = {"email": wanted.email, "full_name": wanted.full_name}
    changes = {n: v for n, v in given.items() if v is not None and v != getattr(user, n)}
    return _put(tx, caller, user, changes, now)


def _require_same_name(user: User, name: str | None) -> None:
    if name not in (None, user.name):
        sentence = "names stay, since what belongs to somebody is known by theirs"
        raise Invalid("cannot rename an account", details={"username": sentence})


def _put(
    tx: Transaction, caller: Caller, user: User, changes: dict[str, Any], now: datetime
) -> User:
    if not changes:
        return user
    people.update_user(tx, user.id, **changes)
    before = {name: getattr(user, name) for name in changes}
    _record(tx, caller, "user.changed", user, now, before=before, after=changes)
    changed = identities.get_user(tx, user.id)
    assert changed is not None
    return changed


def reset(tx: Transaction, caller: Caller, who: str, now: datetime) -> tuple[User, str]:
    """The account, and the token of a one-time link with which its person sets a new password.
    Earlier links stop working; sessions go on until the link is used."""
    user = get(tx, caller, who, "users:write")
    if user.disabled:
        raise Conflict(f"{user.name} is disabled", hint="Enable the account first.")
    return user, _link(tx, caller, user, now, RESET_LASTS)


def delete(tx: Transaction, caller: Caller, who: str, now: datetime) -> None:
    """Remove the account with its tokens, sessions, links and roles.

    Conflict while it owns anything (what it made for groups stays theirs), or if nobody would be
    left to administer the server.
    """
    people.lock_people(tx)
    user = get(tx, caller, who, "users:write")
    _require_another_administrator(tx, user)
    require_empty(tx, user.owner)
    people.delete_user(tx, user)
    _record(tx, caller, "user.deleted", user, now, before=_told(user))


def require_empty(tx: Transaction, owner: str) -> None:
    """Raise Conflict while anything belongs to `owner`."""
    held = people.holdings(tx, owner)
    if held:
        listed = ", ".join(f"{n} {kind}{'s' if n != 1 else ''}" for kind, n in held.items())
        raise Conflict(
            f"cannot delete {owner}: it still owns {listed}",
            hint="Delete these first; or disable the account, which ends every access of it.",
        )


def _require_another_administrator(tx: Transaction, user: User) -> None:
    if user.admin and not user.disabled and people.count_administrators(tx) < 2:
        raise Conflict(
            f"{user.name} is the last administrator of this server",
            hint="Make somebody else an administrator first.",
        )


def _link(tx: Transaction, caller: Caller, user: User, now: datetime, lasts: timedelta) -> str:
    token = links.make(tx, user, links.PASSWORD, now, lasts)
    _record(tx, caller, "link.made", user, now, after={"purpose": links.PASSWORD})
    return token


def _told(user: User) -> dict[str, Any]:
    """The account as the audit log holds it."""
    return {n: getattr(user, n) for n in ("email", "full_name", "admin", "disabled")}


def _record(
    tx: Transaction,
    caller: Caller,
    action: str,
    user: User,
    now: datetime,
    before: Any = None,
    after: Any = None,
) -> None:
    audit.record(
        tx,
        caller,
        action,
        now,
        kind="user",
        id=user.id,
        name=user.name,
        owner=user.owner,
        before=before,
        after=after,
    )
