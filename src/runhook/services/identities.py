"""Accounts, tokens, sessions and sign-in links."""

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from runhook.errors import SettingsError, Unauthorized
from runhook.keys import Keys, random_credential
from runhook.model.access import Caller, User
from runhook.services import audit, run_tokens, tokens
from runhook.services.access import require_scope, require_whole
from runhook.store import identities
from runhook.store.database import Transaction
from runhook.store.tables import new_id

ADMINISTRATOR = "admin"
SESSION_LASTS = timedelta(days=14)
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
    _record(tx, caller, "token.rotated", user, now)
    return token


def _record(
    tx: Transaction, caller: Caller, action: str, user: User, now: datetime, after: Any = None
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
        after=after,
    )


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


def caller_of_session(tx: Transaction, session_id: str, now: datetime) -> Caller:
    """Who is signed in with this session; Unauthorized if it is unknown or over."""
    user = identities.find_user_by_session(tx, session_id, now)
    if user is None or user.disabled:
        raise Unauthorized("the session is over", hint="Sign in again.")
    return _caller(tx, user, "session")


def _caller(tx: Transaction, user: User, via: str, scopes: frozenset[str] | None = None) -> Caller:
    return user.caller(identities.roles_of(tx, user.id), via, scopes)


def make_sign_in_link(tx: Transaction, caller: Caller, now: datetime) -> str:
    """A one-time token that signs a browser in as the caller, for one day."""
    require_scope(caller, "user:token")
    require_whole(caller)
    user, token = _account(tx, caller), random_credential()
    identities.delete_expired(tx, now)
    identities.insert_sign_in_link(tx, token, user.id, now, now + LINK_LASTS)
    _record(tx, caller, "link.made", user, now, {"purpose": "sign-in"})
    return token


def first_sign_in(tx: Transaction, user: User, now: datetime) -> str | None:
    """A one-time token for `user` as long as nobody is signed in, else None."""
    if identities.anybody_signed_in(tx, now):
        return None
    return make_sign_in_link(tx, user.caller(via="start of the server"), now)


def link_url(base: str, token: str, target: str = "/dash") -> str:
    """The address that uses a one-time token and then shows the page `target`."""
    return f"{base}/dash/sign-in?{urlencode({'link': token, 'next': target})}"


def open_session(tx: Transaction, link_token: str, now: datetime) -> str:
    """Use a one-time link: the id of a new session. Unauthorized if it was used or is too old."""
    user = identities.use_sign_in_link(tx, link_token, now)
    if user is None or user.disabled:
        raise Unauthorized(
            "this sign-in link was used already or is too old",
            hint="Run `runhook token` on the server and sign in with the token it prints.",
        )
    return _session(tx, user.id, now)


def sign_in_with_token(tx: Transaction, keys: Keys, token: str, now: datetime) -> str:
    """The id of a new session for whoever holds a user token (never a named one, nor a run's: a
    session has no scope)."""
    user = _user_of_token(tx, token)
    if user is None:
        raise Unauthorized("the token is not valid", hint=HOW)
    return _session(tx, user.id, now)


def _session(tx: Transaction, user_id: str, now: datetime) -> str:
    session_id = random_credential()
    identities.insert_session(tx, session_id, user_id, now, now + SESSION_LASTS)
    return session_id


def sign_out(tx: Transaction, session_id: str) -> None:
    """End a session. No error if it is over already."""
    identities.delete_session(tx, session_id)
