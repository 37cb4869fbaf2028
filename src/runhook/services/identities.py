"""One's own account and its user token, and who is behind a token."""

import re
from datetime import datetime, timedelta
from typing import Any

from runhook.errors import SettingsError, Unauthorized
from runhook.keys import Keys
from runhook.model.access import Caller, User
from runhook.services import audit, links, run_tokens, tokens
from runhook.services.access import require_scope, require_whole
from runhook.store import identities, sessions
from runhook.store.database import Transaction
from runhook.store.tables import new_id

ADMINISTRATOR = "admin"
LINK_LASTS = timedelta(hours=24)
USER_TOKEN = re.compile(r"[0-9a-f]{32}")
HOW = "Send 'Authorization: token …' with your user token; `runhook token` on the server prints it."


def ensure_administrator(
    tx: Transaction, keys: Keys, organization: str, now: datetime
) -> tuple[User, bool]:
    """The first administrator, and whether this call made the account.

    SettingsError if the key is not the one that this database's tokens were made with: everything
    encrypted would be unreadable, so it is better not to begin.
    """
    known = identities.first_administrator(tx)
    if known:
        _require_fitting(tx, keys, known)
        return known, False
    user = User(new_id(), ADMINISTRATOR, f"{organization}/{ADMINISTRATOR}", admin=True)
    identities.insert_user(tx, user, keys.user_token(user.id, user.token_rotation), now)
    return user, True


def _require_fitting(tx: Transaction, keys: Keys, user: User) -> None:
    token = keys.user_token(user.id, user.token_rotation)
    if identities.find_user_by_token(tx, token) is None:
        raise SettingsError(
            "cannot start: keys/server.key in the data directory does not belong to this database; "
            "put the key that was backed up with it back in place"
        )


def user_token(tx: Transaction, keys: Keys, caller: Caller) -> str:
    """The caller's user token: the same value until it is rotated."""
    require_scope(caller, "user:token")
    require_whole(caller)
    user = _account(tx, caller)
    return keys.user_token(user.id, user.token_rotation)


def rotate_token(tx: Transaction, keys: Keys, caller: Caller, now: datetime) -> str:
    """A new user token; the old one opens nothing any more."""
    require_scope(caller, "user:token")
    require_whole(caller)
    user = _account(tx, caller)
    token = keys.user_token(user.id, user.token_rotation + 1)
    identities.set_token(tx, user.id, token, user.token_rotation + 1)
    _record(tx, caller, "token.rotated", now)
    return token


def account(tx: Transaction, caller: Caller) -> tuple[User, datetime]:
    """The caller's account and when it was made."""
    require_scope(caller, "user:read")
    return _account(tx, caller), identities.created_at(tx, caller.user_id)


def _account(tx: Transaction, caller: Caller) -> User:
    user = identities.get_user(tx, caller.user_id)
    if user is None:
        raise Unauthorized(hint=HOW)
    return user


def caller_of_token(tx: Transaction, keys: Keys, token: str, now: datetime) -> Caller:
    """Who holds `token`: a user token, a named token, or the token of a run that still lives.

    Raises Unauthorized, with the same sentence whatever is wrong with it; only a genuine named
    token is told that it has expired.
    """
    user = _user_of_token(tx, token)
    if user:
        return _caller(tx, user, "user token")
    caller = tokens.caller_of(tx, token, now) or run_tokens.caller_of(tx, keys, token)
    if caller is None:
        raise Unauthorized("the token is not valid", hint=HOW)
    return caller


def _user_of_token(tx: Transaction, token: str) -> User | None:
    """Whose user token this is, if it is one of an account in use."""
    user = identities.find_user_by_token(tx, token) if USER_TOKEN.fullmatch(token) else None
    return None if user is None or user.disabled else user


def _caller(tx: Transaction, user: User, via: str, scopes: frozenset[str] | None = None) -> Caller:
    return user.caller(identities.roles_of(tx, user.id), via, scopes)


def make_sign_in_link(tx: Transaction, caller: Caller, now: datetime) -> str:
    """A one-time token that signs a browser in as the caller, for one day."""
    require_scope(caller, "user:token")
    require_whole(caller)
    token = links.make(tx, _account(tx, caller), links.SIGN_IN, now, LINK_LASTS)
    _record(tx, caller, "link.made", now, {"purpose": links.SIGN_IN})
    return token


def first_sign_in(tx: Transaction, user: User, now: datetime) -> str | None:
    """A one-time token for `user` as long as nobody is signed in, else None."""
    if sessions.anybody_signed_in(tx, now):
        return None
    return make_sign_in_link(tx, user.caller(via="start of the server"), now)


def _record(tx: Transaction, caller: Caller, action: str, now: datetime, after: Any = None) -> None:
    audit.record(
        tx,
        caller,
        action,
        now,
        kind="user",
        id=caller.user_id,
        name=caller.name,
        owner=caller.owner,
        after=after,
    )
