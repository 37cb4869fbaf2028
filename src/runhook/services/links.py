"""One-time links: what opens them is shown once and kept as a hash; looking uses none up."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from runhook.errors import Unauthorized
from runhook.keys import random_credential
from runhook.model.access import User
from runhook.store import identities
from runhook.store.database import Transaction

SIGN_IN, PASSWORD = "sign-in", "password"
SPENT = "this link was used already or is too old"
HINT = (
    "Ask an administrator for another one; on the server, `runhook token` prints a token to sign "
    "in with."
)


@dataclass(frozen=True)
class Link:
    """Whom a one-time link lets in, and what for: to sign in, or to set a password first."""

    user: User
    purpose: str


def make(tx: Transaction, user: User, purpose: str, now: datetime, lasts: timedelta) -> str:
    """The token of a new link. One that sets a password ends the earlier ones that do."""
    token = random_credential()
    identities.delete_expired(tx, now)
    if purpose == PASSWORD:
        identities.delete_sign_in_links(tx, user.id, PASSWORD)
    identities.insert_sign_in_link(tx, token, user.id, now, now + lasts, purpose)
    return token


def look(tx: Transaction, token: str, now: datetime) -> Link:
    """What the link would do, without using it up. Unauthorized if it does nothing any more."""
    found = identities.find_sign_in_link(tx, token, now)
    return _opened(found)


def use(tx: Transaction, token: str, now: datetime) -> Link:
    """Use the link up. Unauthorized if it was used or is too old."""
    return _opened(identities.use_sign_in_link(tx, token, now))


def _opened(found: tuple[User, str] | None) -> Link:
    if found is None or found[0].disabled:
        raise Unauthorized(SPENT, hint=HINT)
    return Link(*found)


def url(base: str, token: str, target: str = "/dash") -> str:
    """The address that uses a one-time token and then shows the page `target`."""
    return f"{base}/dash/sign-in?{urlencode({'link': token, 'next': target})}"
