"""Named tokens: their record, and the form by which a leaked one is known.

`rht_` (or `rhf_` for a refresh token), 30 random base62 digits (178 bits), and 6 base62 digits of
the CRC-32 of all before them: the form of GitHub's tokens. A scanner finds it by its prefix and
knows by the check digits that it is no accident; the server refuses a mistyped one without looking
it up. The check proves nothing else: it can be computed by anybody.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from string import ascii_lowercase, ascii_uppercase, digits

ACCESS, REFRESH = "rht_", "rhf_"
BASE62 = digits + ascii_uppercase + ascii_lowercase
RANDOM_DIGITS, CHECK_DIGITS = 30, 6
FORM = re.compile(rf"rh[tf]_[0-9A-Za-z]{{{RANDOM_DIGITS + CHECK_DIGITS}}}")


def spelled(prefix: str, random: Sequence[int]) -> str:
    """The token of `RANDOM_DIGITS` random numbers, each from 0 to 61."""
    head = prefix + "".join(BASE62[number] for number in random)
    return head + _check(head)


def is_well_formed(text: str, prefix: str) -> bool:
    """Could it be such a token? (Its digits were not mistyped.)"""
    if not text.startswith(prefix) or not FORM.fullmatch(text):
        return False
    return _check(text[:-CHECK_DIGITS]) == text[-CHECK_DIGITS:]


def _check(head: str) -> str:
    number, found = zlib.crc32(head.encode()), ""
    for _ in range(CHECK_DIGITS):
        number, digit = divmod(number, 62)
        found = BASE62[digit] + found
    return found


@dataclass(frozen=True)
class Token:
    """A named token of an account; what opens anything is kept as a hash only, and not here.

    `scope` None means everything the account may do. `expires_at` None: until it is revoked.
    `lasts_seconds` and `refresh_lasts_seconds` are what each refresh gives anew; without the latter
    there is no refresh token. The last use is noted at most once a minute.
    """

    id: str
    user_id: str
    description: str
    scope: str | None
    created_at: datetime
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    lasts_seconds: int | None = None
    refresh_lasts_seconds: int | None = None
    last_used_at: datetime | None = None
    last_address: str = ""

    def expired(self, now: datetime) -> bool:
        """Does it open nothing any more?"""
        return self.expires_at is not None and self.expires_at <= now

    def refresh_expired(self, now: datetime) -> bool:
        """Is it too late to refresh it?"""
        return self.refresh_expires_at is None or self.refresh_expires_at <= now


def after(now: datetime, seconds: int | None) -> datetime | None:
    """The instant so many seconds later; None for never."""
    return None if seconds is None else now + timedelta(seconds=seconds)
