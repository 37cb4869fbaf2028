"""Named tokens: make, list, rename, revoke, refresh, and who holds one."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runhook.errors import Invalid, NotFound, Unauthorized
from runhook.keys import random_token
from runhook.model.access import Caller, User
from runhook.model.scope import START_ONE, bound, words_of
from runhook.model.token import ACCESS, REFRESH, Token, after, is_well_formed
from runhook.services import audit, jobs
from runhook.services.access import require_admin, require_scope
from runhook.services.scopes import checked_scope
from runhook.store import identities, tokens
from runhook.store.database import Transaction
from runhook.store.tables import new_id

LONGEST_DESCRIPTION = 255


@dataclass(frozen=True)
class Wanted:
    """A token to be made. `scope` None: everything the account may do. `expires_in` and
    `refresh_expires_in` are in seconds; None means never, and no refresh token."""

    description: str = ""
    scope: str | None = None
    expires_in: int | None = None
    refresh_expires_in: int | None = None


@dataclass(frozen=True)
class Issued:
    """A token with what opens it: this is the only time that anybody sees these."""

    token: Token
    access: str
    refresh: str | None


def make(tx: Transaction, caller: Caller, wanted: Wanted, now: datetime) -> Issued:
    """A token for the caller's own account, never with a wider scope than the caller's. Made with a
    named token that expires, it expires no later, and cannot be refreshed: Invalid if asked to."""
    require_scope(caller, "user:token")
    try:
        scope = checked_scope(wanted.scope, caller.scopes)
    except ValueError as error:
        raise Invalid("cannot make this token", details={"scope": str(error)}) from None
    latest = _latest_end(tx, caller)
    if latest and wanted.refresh_expires_in is not None:
        sentence = "a token that expires makes none that can be refreshed: it would be outlived"
        raise Invalid("cannot make this token", details={"refresh_expires_in": sentence})
    ends = [each for each in (after(now, wanted.expires_in), latest) if each]
    token = Token(
        id=new_id(),
        user_id=caller.user_id,
        description=wanted.description,
        scope=scope,
        created_at=now,
        expires_at=min(ends, default=None),
        refresh_expires_at=after(now, wanted.refresh_expires_in),
        lasts_seconds=wanted.expires_in,
        refresh_lasts_seconds=wanted.refresh_expires_in,
    )
    refresh = None if wanted.refresh_expires_in is None else random_token(REFRESH)
    issued = Issued(token, random_token(ACCESS), refresh)
    tokens.insert_token(tx, token, issued.access, issued.refresh)
    _record(tx, caller, "token.created", token, now, _told(token))
    return issued


def _latest_end(tx: Transaction, caller: Caller) -> datetime | None:
    """When the named token that the caller holds expires; None if it never does, or is none."""
    held = tokens.get_token(tx, caller.token_id) if caller.token_id else None
    return held.expires_at if held else None


def make_for_job(tx: Transaction, caller: Caller, job_id: str, now: datetime) -> Issued:
    """A token that starts this one job and sees how that goes, until it is revoked."""
    job = jobs.get(tx, caller, job_id, "jobs:start")
    wanted = Wanted(f"start {job.name}"[:LONGEST_DESCRIPTION], bound(START_ONE, job.id))
    return make(tx, caller, wanted, now)


def list_page(
    tx: Transaction,
    caller: Caller,
    *,
    size: int,
    user_id: str | None = None,
    after: tuple[datetime, str] | None = None,
    before: tuple[datetime, str] | None = None,
) -> list[Token]:
    """The caller's tokens, newest first; an administrator may ask for somebody else's."""
    wanted = user_id or caller.user_id
    if wanted == caller.user_id:
        require_scope(caller, "user:token")
    else:
        require_admin(caller, "users:read")
    return tokens.list_tokens(tx, wanted, size=size, after=after, before=before)


def get(tx: Transaction, caller: Caller, token_id: str, *, change: bool = False) -> Token:
    """A token of the caller's, or, for an administrator, of anybody's."""
    token = tokens.get_token(tx, token_id)
    if token is None or not (caller.admin or token.user_id == caller.user_id):
        require_scope(caller, "user:token")
        raise NotFound(f"there is no token {token_id} here")
    if token.user_id == caller.user_id:
        require_scope(caller, "user:token")
    else:
        require_admin(caller, "users:write" if change else "users:read")
    return token


def describe(
    tx: Transaction, caller: Caller, token_id: str, description: str, now: datetime
) -> Token:
    """The token with another description."""
    token = get(tx, caller, token_id, change=True)
    if token.description == description:
        return token
    tokens.set_description(tx, token.id, description)
    before, changed = {"description": token.description}, replace(token, description=description)
    _record(tx, caller, "token.changed", changed, now, {"description": description}, before)
    return changed


def revoke(tx: Transaction, caller: Caller, token_id: str, now: datetime) -> None:
    """It opens nothing any more. NotFound if repeated."""
    token = get(tx, caller, token_id, change=True)
    if not tokens.delete_token(tx, token.id):
        raise NotFound(f"there is no token {token_id} here")
    _record(tx, caller, "token.revoked", token, now, before=_told(token))


def caller_of(tx: Transaction, access: str, now: datetime) -> Caller | None:
    """Who holds this access token; None unless it is one of an account in use.

    Unauthorized, with the word `expired`, if it has: clients refresh it when they read that, and
    only who holds the genuine token is told.
    """
    token = tokens.find_by_access(tx, access) if is_well_formed(access, ACCESS) else None
    user = _holder(tx, token)
    if token is None or user is None:
        return None
    if token.expired(now):
        raise Unauthorized(
            "the token has expired", hint="Refresh it, or make another on the page of tokens."
        )
    return _caller(tx, user, token)


def _holder(tx: Transaction, token: Token | None) -> User | None:
    user = identities.get_user(tx, token.user_id) if token else None
    return None if user is None or user.disabled else user


def _caller(tx: Transaction, user: User, token: Token) -> Caller:
    scopes = None if token.scope is None else frozenset(words_of(token.scope))
    roles = identities.roles_of(tx, user.id)
    via = f"token {token.description or token.id}"
    return replace(user.caller(roles, via, scopes), token_id=token.id)


def may_refresh(tx: Transaction, refresh: str) -> bool:
    """Is it, or was it ever, a refresh token of ours? Looked at before anything is written, so that
    guesses cost no write."""
    if not is_well_formed(refresh, REFRESH):
        return False
    return bool(tokens.find_by_refresh(tx, refresh) or tokens.find_by_spent(tx, refresh))


def refresh(tx: Transaction, refresh: str, address: str, now: datetime) -> Issued | None:
    """A fresh pair for a refresh token, once. None if it opens nothing: whatever the reason.

    One that was used before ends the whole token, also the pair that its use gave: two have it, and
    nobody can tell which of them stole it (RFC 9700, section 4.14.2). So of two calls at once one
    gets a pair, and the other one ends it. The caller must let this transaction be committed.
    """
    token = tokens.find_by_refresh(tx, refresh)
    user = _holder(tx, token)
    if token and (user is None or token.refresh_expired(now)):
        return None
    issued = _exchanged(tx, token, refresh, now) if token else None
    if issued is None:
        _end_reused(tx, refresh, address, now)
    elif user:
        caller = replace(_caller(tx, user, issued.token), via="refresh token", address=address)
        _record(tx, caller, "token.refreshed", issued.token, now, _told(issued.token))
    return issued


def _exchanged(tx: Transaction, token: Token, spent: str, now: datetime) -> Issued | None:
    """The token with a fresh pair; None if somebody else was first."""
    renewed = replace(
        token,
        expires_at=after(now, token.lasts_seconds),
        refresh_expires_at=after(now, token.refresh_lasts_seconds),
    )
    access, following = random_token(ACCESS), random_token(REFRESH)
    ends = renewed.expires_at, renewed.refresh_expires_at
    if not tokens.exchange(tx, token.id, spent, (access, following), *ends, now):
        return None
    return Issued(renewed, access, following)


def _end_reused(tx: Transaction, spent: str, address: str, now: datetime) -> None:
    token = tokens.find_by_spent(tx, spent)
    if token and tokens.delete_token(tx, token.id):
        somebody = Caller("", "somebody", "", via="spent refresh token", address=address)
        _record(tx, somebody, "token.reused", token, now, before=_told(token))


def _told(token: Token) -> dict[str, Any]:
    """What the audit log may hold of a token."""
    ends = token.expires_at
    return {"scope": token.scope, "expires_at": ends.isoformat() if ends else None}


def _record(
    tx: Transaction,
    caller: Caller,
    action: str,
    token: Token,
    now: datetime,
    after: Any = None,
    before: Any = None,
) -> None:
    user = identities.get_user(tx, token.user_id)
    audit.record(
        tx,
        caller,
        action,
        now,
        kind="token",
        id=token.id,
        name=token.description,
        owner=user.owner if user else "",
        before=before,
        after=after,
    )
