"""Accounts and roles of people who sign in through a provider. What they are was verified before.

An account belongs to an issuer and a subject, never to a name or an address: these can be chosen at
many providers, and handed on.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from runhook.errors import Conflict, Forbidden, Unauthorized
from runhook.keys import Keys
from runhook.model.access import Caller, Group, Role, User
from runhook.model.sign_on import SERVER, Admission, Person
from runhook.services import audit
from runhook.services.access import require_scope, require_whole
from runhook.services.sessions import Visit, open_session
from runhook.store import identities, people, sign_on
from runhook.store.database import Transaction
from runhook.store.sign_on import Identity
from runhook.store.tables import new_id

logger = logging.getLogger("runhook")
VIA = "single sign-on"


def use_up(tx: Transaction, state: str, expires_at: datetime, now: datetime) -> None:
    """Let an attempt to sign in, which would be good until `expires_at`, be good for nothing more.
    Unauthorized if it was used up before."""
    if not sign_on.spend(tx, state, now, expires_at):
        raise Unauthorized("this sign-in was used already", hint="Begin again.")


def sign_in(
    tx: Transaction,
    keys: Keys,
    organization: str,
    admission: Admission,
    person: Person,
    visit: Visit,
    now: datetime,
) -> str:
    """The id of a new session of the person's account, which is made if there is none. Their roles
    are those that their groups give at this moment.

    Forbidden if they may not come in, Conflict if somebody else has the name that theirs would be.
    """
    if not admission.admits(person):
        raise Forbidden(
            "this server lets in only people with certain addresses, and yours is none of them",
            hint="The provider must vouch for an address of a domain in oidc.allowed_domains.",
        )
    people.lock_people(tx)
    known = sign_on.find_identity(tx, person.issuer, person.subject)
    if known is None:
        known = _new_account(tx, keys, organization, admission, person, visit.address, now)
    user = identities.get_user(tx, known.user_id)
    assert user is not None, "identities are removed with their account"
    if user.disabled:
        raise Forbidden(
            f"the account {user.name} is disabled", hint="Ask an administrator of this server."
        )
    caller = replace(user.caller(via=VIA), address=visit.address)
    roles = admission.roles(person)
    _put_administrator(tx, caller, known, user, roles.pop(SERVER, None) is not None, now)
    _put_roles(tx, caller, {f"{organization}/{name}": role for name, role in roles.items()}, now)
    return open_session(tx, user, visit, VIA, now)


def _new_account(
    tx: Transaction,
    keys: Keys,
    organization: str,
    admission: Admission,
    person: Person,
    address: str,
    now: datetime,
) -> Identity:
    _require_creatable(tx, admission, person)
    user = User(
        id=new_id(),
        name=person.name,
        owner=f"{organization}/{person.name}",
        email=person.email,
        full_name=person.full_name,
    )
    identities.insert_user(tx, user, keys.user_token(user.id, user.token_rotation), now)
    caller = replace(user.caller(via=VIA), address=address)
    told = {"email": user.email, "full_name": user.full_name, "admin": False, "disabled": False}
    _record(tx, caller, "user.created", now, after={**told, "provider": person.issuer})
    return _insert_identity(tx, user.id, person, now)


def _require_creatable(tx: Transaction, admission: Admission, person: Person) -> None:
    if not admission.auto_create:
        raise Forbidden(
            "no account here is linked to yours at the sign-in provider",
            hint="Sign in to your account in another way and link it on its page, or ask an "
            "administrator for one.",
        )
    if not person.name:
        raise Forbidden(
            "the sign-in provider tells no name that an account here could have",
            hint="An administrator has to set oidc.name_claim to a claim with such a name.",
        )
    if people.is_taken(tx, person.name):
        raise Conflict(
            f"your account here would be called {person.name}, and there is a user or group of "
            "that name already",
            hint="If that account is yours, sign in to it as before and link it on its page. "
            "Otherwise an administrator has to create an account with another name for you, and "
            "you link that one.",
        )


def _insert_identity(tx: Transaction, user_id: str, person: Person, now: datetime) -> Identity:
    new = Identity(person.issuer, person.subject, user_id, now, made_admin=False)
    sign_on.insert_identity(tx, new)
    return new


def link(tx: Transaction, caller: Caller, person: Person, now: datetime) -> None:
    """Let the person's account at the provider open the caller's from now on; repeating it changes
    nothing. Conflict if it opens another one."""
    require_scope(caller, "user:write")
    require_whole(caller)
    people.lock_people(tx)
    known = sign_on.find_identity(tx, person.issuer, person.subject)
    if known is None:
        _insert_identity(tx, caller.user_id, person, now)
        _record(tx, caller, "identity.linked", now, after={"provider": person.issuer})
    elif known.user_id != caller.user_id:
        raise Conflict(
            "that account at the sign-in provider belongs to another account here",
            hint="Sign in with it, and unlink it on the page of that account first.",
        )


def unlink(tx: Transaction, caller: Caller, issuer: str, now: datetime) -> None:
    """Let the provider open the caller's account no longer; roles that came with it go. No error if
    it did not open it."""
    require_scope(caller, "user:write")
    people.lock_people(tx)
    user = identities.get_user(tx, caller.user_id)
    for known in sign_on.list_identities(tx, caller.user_id):
        if known.issuer == issuer and user is not None:
            _put_administrator(tx, caller, known, user, False, now)
    if sign_on.delete_identities(tx, caller.user_id, issuer):
        _put_roles(tx, caller, {}, now)
        _record(tx, caller, "identity.unlinked", now, before={"provider": issuer})


def linked(tx: Transaction, caller: Caller, issuer: str) -> list[Identity]:
    """The accounts of the provider that open the caller's account."""
    require_scope(caller, "user:read")
    return [each for each in sign_on.list_identities(tx, caller.user_id) if each.issuer == issuer]


def _put_administrator(
    tx: Transaction, caller: Caller, known: Identity, user: User, admin: bool, now: datetime
) -> None:
    """Administrator of the server while the provider says so. Who was made one here stays it, and
    the last one does whatever is said."""
    if admin and not user.admin:
        sign_on.set_administrator(tx, known, True)
    elif not admin and known.made_admin and user.admin:
        if not sign_on.count_other_administrators(tx, user.id):
            logger.warning("%s stays an administrator: there is no other one", user.name)
            return
        sign_on.set_administrator(tx, known, False)
    else:
        return
    _record(tx, caller, "user.changed", now, {"admin": user.admin}, {"admin": admin})


def _put_roles(tx: Transaction, caller: Caller, wanted: Mapping[str, Role], now: datetime) -> None:
    """Exactly these roles come from the provider; those that were given here stay as they are."""
    present = sign_on.memberships_of(tx, caller.user_id)
    for owner, role in wanted.items():
        known, source = present.get(owner, (None, "sso"))
        if source == "sso" and known is not role and _ensure_group(tx, caller, owner, now):
            people.set_member(tx, owner, caller.user_id, role, "sso", now)
            _record_member(tx, caller, "member.set", owner, known, role, now)
    for owner, (known, source) in present.items():
        if source == "sso" and owner not in wanted:
            people.remove_member(tx, owner, caller.user_id)
            _record_member(tx, caller, "member.removed", owner, known, None, now)


def _ensure_group(tx: Transaction, caller: Caller, owner: str, now: datetime) -> bool:
    """Is `owner` a group (now)? A person's own things are shared by that person only."""
    if people.find_group(tx, owner.rpartition("/")[2]):
        return True
    name = owner.rpartition("/")[2]
    if people.is_taken(tx, name):
        logger.warning("oidc.groups names %s, which is a user: no role is given there", name)
        return False
    group = Group(new_id(), name, owner, "Made at a sign-in, by oidc.groups.", now)
    people.insert_group(tx, group)
    audit.record(
        tx,
        caller,
        "group.created",
        now,
        kind="group",
        id=group.id,
        name=name,
        owner=owner,
        after={"description": group.description},
    )
    return True


def _record_member(
    tx: Transaction,
    caller: Caller,
    action: str,
    owner: str,
    before: Role | None,
    after: Role | None,
    now: datetime,
) -> None:
    audit.record(
        tx,
        caller,
        action,
        now,
        kind="member",
        id=caller.user_id,
        name=caller.name,
        owner=owner,
        before={"role": before, "source": "sso"} if before else None,
        after={"role": after, "source": "sso"} if after else None,
    )


def _record(
    tx: Transaction,
    caller: Caller,
    action: str,
    now: datetime,
    before: Any = None,
    after: Any = None,
) -> None:
    """Note what happened to the caller's own account."""
    audit.record(
        tx,
        caller,
        action,
        now,
        kind="user",
        id=caller.user_id,
        name=caller.name,
        owner=caller.owner,
        before=before,
        after=after,
    )
