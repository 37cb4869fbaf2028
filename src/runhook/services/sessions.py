"""Sessions: browsers that are signed in. Opened by `services.sign_in`; found again by the gate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from runhook.errors import NotFound, Unauthorized
from runhook.keys import random_credential
from runhook.model.access import Caller, User
from runhook.services import audit
from runhook.services.access import require_scope
from runhook.store import identities, sessions
from runhook.store.database import Transaction
from runhook.store.sessions import Session

LASTS = timedelta(days=14)
NOTED_EVERY = timedelta(minutes=5)


@dataclass(frozen=True)
class Visit:
    """Where somebody signs in from: an address, and the name that the browser gives itself."""

    address: str = ""
    agent: str = ""


def open_session(tx: Transaction, user: User, visit: Visit, via: str, now: datetime) -> str:
    """The id of a new session of `user`, who proved it by `via` (such as `password`)."""
    identities.delete_expired(tx, now)
    session_id = random_credential()
    sessions.insert_session(tx, session_id, user.id, now, now + LASTS, visit.address, visit.agent)
    caller = replace(user.caller(via=via), address=visit.address)
    _record(tx, caller, "session.opened", now)
    return session_id


def caller_of(tx: Transaction, session_id: str, now: datetime) -> tuple[Caller, bool]:
    """Who is signed in with this session, and whether it is time to `note_seen` it.

    Unauthorized if it is unknown or over.
    """
    found = sessions.find_session(tx, session_id, now)
    if found is None or found[0].disabled:
        raise Unauthorized("the session is over", hint="Sign in again.")
    user, seen_at = found
    caller = user.caller(identities.roles_of(tx, user.id), "session")
    return caller, seen_at is None or seen_at <= now - NOTED_EVERY


def note_seen(tx: Transaction, session_id: str, now: datetime) -> None:
    """Write down that the session was used, at most once in `NOTED_EVERY`."""
    sessions.note_seen(tx, session_id, now, NOTED_EVERY)


def list_own(tx: Transaction, caller: Caller, now: datetime) -> Sequence[Session]:
    """The caller's sessions, newest first."""
    require_scope(caller, "user:write")
    return sessions.list_sessions(tx, caller.user_id, now)


def end(tx: Transaction, caller: Caller, id_hash: str, now: datetime) -> None:
    """End one of the caller's sessions. NotFound if it is over already."""
    require_scope(caller, "user:write")
    if not sessions.delete_session(tx, id_hash, caller.user_id):
        raise NotFound(f"there is no session {id_hash} here")
    _record(tx, caller, "session.ended", now)


def end_others(tx: Transaction, caller: Caller, session_id: str | None, now: datetime) -> int:
    """End every session of the caller but the one they ask with, if it is one: how many."""
    require_scope(caller, "user:write")
    kept = identities.digest(session_id) if session_id else ""
    ended = sessions.delete_sessions(tx, caller.user_id, but=kept)
    if ended:
        _record(tx, caller, "session.ended", now, ended)
    return ended


def sign_out(tx: Transaction, session_id: str, address: str, now: datetime) -> None:
    """End the session with this id. No error if it is over already."""
    found = sessions.find_session(tx, session_id, now)
    if found:
        user, _ = found
        sessions.delete_session(tx, identities.digest(session_id), user.id)
        _record(tx, replace(user.caller(via="session"), address=address), "session.ended", now)


def _record(tx: Transaction, caller: Caller, action: str, now: datetime, number: int = 1) -> None:
    audit.record(
        tx,
        caller,
        action,
        now,
        kind="user",
        id=caller.user_id,
        name=caller.name,
        owner=caller.owner,
        after={"sessions": number},
    )
