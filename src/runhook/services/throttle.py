"""Guessing passwords gets slower with every wrong one: per name, and per address it comes from.

What is counted survives a restart. A try is counted before the password is looked at, and taken
back if it was right, so that many at once gain nothing. Unknown names count like known ones.
"""

import ipaddress
import math
from datetime import datetime, timedelta

from runhook.errors import TooManyRequests
from runhook.keys import Keys
from runhook.store import sign_in_failures
from runhook.store.database import Transaction

FREE = {"name": 5, "address": 30}
"""Failures in a row that cost nothing. Many people may share an address, so it has more."""
FIRST_WAIT, LONGEST_WAIT = 32, 15 * 60
FORGOTTEN = timedelta(days=1)


def enter(tx: Transaction, keys: Keys, name: str, address: str, now: datetime) -> None:
    """Count a try for `name` from `address`. TooManyRequests, and nothing is counted, while one of
    them has to wait."""
    sign_in_failures.forget_before(tx, now - FORGOTTEN)
    for kind, key in _keys(keys, name, address).items():
        found = sign_in_failures.find(tx, key)
        if found:
            _require_waited(found.last_at, wait_seconds(kind, found.count), now)
        sign_in_failures.count(tx, key, now)


def wait_seconds(kind: str, count: int) -> int:
    """How long to wait after so many failures in a row: nothing at first, then 32, 64, 128 …
    seconds, at most 15 minutes."""
    beyond = count - FREE[kind]
    return 0 if beyond < 0 else min(FIRST_WAIT * 2 ** min(beyond, 10), LONGEST_WAIT)


def _require_waited(last_at: datetime, wait: int, now: datetime) -> None:
    """A last time that has not come yet is a trace of a clock that was set back: it says nothing"""
    left = math.ceil((last_at + timedelta(seconds=wait) - now).total_seconds())
    if 0 < left <= wait:
        raise TooManyRequests(
            f"too many sign-ins failed in a row; try again in {left} second{'s' * (left != 1)}",
            hint="On the server, `runhook token` prints the first administrator's token, which "
            "signs in at once.",
            retry_after=left,
        )


def succeeded(tx: Transaction, keys: Keys, name: str, address: str) -> None:
    """The try was none of guessing: the name has a clean slate, the address one failure less."""
    forget(tx, keys, name)
    sign_in_failures.uncount(tx, _keys(keys, name, address)["address"])


def forget(tx: Transaction, keys: Keys, name: str) -> None:
    """A clean slate for the name: its person proved themself in another way."""
    sign_in_failures.forget(tx, _keys(keys, name, "")["name"])


def _keys(keys: Keys, name: str, address: str) -> dict[str, str]:
    return {
        "name": keys.failure_key("name", name.casefold()),
        "address": keys.failure_key("address", _network(address)),
    }


def _network(address: str) -> str:
    """Of IPv6 the first half: whoever has one address has the others of their network, too."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
