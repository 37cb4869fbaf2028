"""Proving who one is: by password, user token or one-time link. The result is a session.

What hashes passwords runs between two of these transactions, in `runhook.arrival`: `begin` (is
there room for another try? what would fit?), then the comparison, then `finish`.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from runhook.errors import Unauthorized
from runhook.keys import Keys
from runhook.model.access import Caller, User
from runhook.services import audit, links, throttle
from runhook.services.access import require_scope, require_whole
from runhook.services.sessions import Visit, open_session
from runhook.store import identities, people, sessions
from runhook.store.database import Transaction

WRONG = "the name and the password do not fit"
WRONG_HINT = "Check both; an administrator can make you a link that sets a new password."
TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Claim:
    """Somebody says to be `name`: the account, if there is one, and what the password must fit."""

    name: str
    user: User | None
    kept: str | None = field(repr=False)


def with_token(
    tx: Transaction, keys: Keys, token: str, visit: Visit, now: datetime, name: str = ""
) -> str | None:
    """A session for whoever holds a user token (no other kind signs in), if it is that of `name`
    where one is given; else None."""
    user = identities.find_user_by_token(tx, token) if TOKEN.fullmatch(token) else None
    if user is None or user.disabled or name not in ("", user.name):
        return None
    throttle.forget(tx, keys, user.name)
    return open_session(tx, user, visit, "user token", now)


def begin(tx: Transaction, keys: Keys, name: str, address: str, now: datetime) -> Claim:
    """Count the try, and say what the password must fit. TooManyRequests while it is too soon."""
    throttle.enter(tx, keys, name, address, now)
    user = people.find_user_by_name(tx, name)
    return Claim(name, user, identities.password_hash(tx, user.id) if user else None)


def finish(
    tx: Transaction, keys: Keys, claim: Claim, fitted: bool, visit: Visit, now: datetime
) -> str:
    """A session if the password fitted and still is the account's. Unauthorized, with the same
    words whatever was wrong."""
    user = identities.get_user(tx, claim.user.id) if claim.user and fitted else None
    same = user is not None and identities.password_hash(tx, user.id) == claim.kept
    if user is None or user.disabled or not same:
        raise Unauthorized(WRONG, hint=WRONG_HINT)
    throttle.succeeded(tx, keys, claim.name, visit.address)
    return open_session(tx, user, visit, "password", now)


def has_password(tx: Transaction, caller: Caller) -> bool:
    """Has the caller's account one yet?"""
    return identities.password_hash(tx, caller.user_id) is not None


def with_link(tx: Transaction, token: str, visit: Visit, now: datetime) -> str:
    """A session by a one-time link that signs in. Unauthorized if it does not (any more)."""
    link = links.use(tx, token, now)
    if link.purpose != links.SIGN_IN:
        raise Unauthorized(links.SPENT, hint=links.HINT)
    return open_session(tx, link.user, visit, "sign-in link", now)


def set_by_link(
    tx: Transaction, keys: Keys, token: str, new_hash: str, visit: Visit, now: datetime
) -> str:
    """Use a one-time link to set a password: every other session ends, a new one begins."""
    link = links.use(tx, token, now)
    if link.purpose != links.PASSWORD:
        raise Unauthorized(links.SPENT, hint=links.HINT)
    caller = replace(link.user.caller(via="password link"), address=visit.address)
    _set(tx, keys, caller, new_hash, now, kept_session="")
    return open_session(tx, link.user, visit, "password link", now)


def change(
    tx: Transaction, keys: Keys, caller: Caller, new_hash: str, session_id: str, now: datetime
) -> None:
    """Set the caller's own password: every session but `session_id` ends."""
    require_scope(caller, "user:token")
    require_whole(caller)
    throttle.succeeded(tx, keys, caller.name, caller.address)
    kept = identities.digest(session_id) if session_id else ""
    _set(tx, keys, caller, new_hash, now, kept)


def _set(
    tx: Transaction, keys: Keys, caller: Caller, new_hash: str, now: datetime, kept_session: str
) -> None:
    people.update_user(tx, caller.user_id, password_hash=new_hash)
    ended = sessions.delete_sessions(tx, caller.user_id, but=kept_session)
    identities.delete_sign_in_links(tx, caller.user_id)
    throttle.forget(tx, keys, caller.name)
    audit.record(
        tx,
        caller,
        "password.changed",
        now,
        kind="user",
        id=caller.user_id,
        name=caller.name,
        owner=caller.owner,
        after={"sessions_ended": ended},
    )
