"""Passwords: which are good enough, how they are kept, and whether one fits.

Kept is an Argon2id hash as a PHC string (RFC 9106: 64 MiB, three passes). One lane: for more,
OpenSSL takes threads out of a pool, and two hashes at once fail or hang when it is empty. Hashing
takes a sixth of a second and much memory, so it is done in threads of its own, at most two at a
time, and never inside a transaction.
"""

import asyncio
import base64
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from runhook.errors import Invalid, Unavailable

SHORTEST, LONGEST = 12, 1024
MEMORY_KIB, ITERATIONS, LANES, SALT_BYTES, HASH_BYTES = 64 * 1024, 3, 1, 16, 32
AT_ONCE, MOST_WAITING = 2, 32
COMMON = frozenset(
    "123456789012 1234567890123 password1234 passwordpassword qwertyuiop12 qwertyuiopasdf "
    "administrator letmeinletmein changemechangeme correcthorsebatterystaple".split()
)

T = TypeVar("T")
_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")
_waiting = 0


def require_good(password: str, name: str, email: str = "") -> None:
    """Raise Invalid, with what to do, for a password of the wrong length or one that everybody
    would try first: the account's own name or address, one character, a notorious one."""
    text = _normal(password)
    plain = text.casefold()
    own = {each for each in (name, email, email.partition("@")[0]) if each}
    if not SHORTEST <= len(text) <= LONGEST:
        sentence = f"write {SHORTEST} to {LONGEST} characters; several words are easy to keep"
    elif len(set(plain)) < 3 or plain in COMMON or _repeats(plain, own):
        sentence = "everybody would try this one first; take several words that are no saying"
    else:
        return
    raise Invalid("cannot use this password", details={"password": sentence})


def _repeats(plain: str, own: set[str]) -> bool:
    """Is it one of the names, perhaps several times or with digits and signs around it?"""
    letters = _letters(plain)
    names = (_letters(each.casefold()) for each in own)
    return bool(letters) and any(not letters.replace(name, "") for name in names if name)


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text))


async def hashed(password: str) -> str:
    """The hash to keep. Unavailable if too many are asked for at once."""
    return await _apart(lambda: _derive(password))


async def fits(password: str, kept: str | None) -> bool:
    """Is it the password that `kept` was made from? Without one it takes as long to say no."""
    return await _apart(lambda: _verify(password, kept or NOBODYS) and kept is not None)


def _derive(password: str) -> str:
    kdf = Argon2id(
        salt=os.urandom(SALT_BYTES),
        length=HASH_BYTES,
        iterations=ITERATIONS,
        lanes=LANES,
        memory_cost=MEMORY_KIB,
    )
    return kdf.derive_phc_encoded(_normal(password).encode())


def _verify(password: str, kept: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(_normal(password).encode(), kept)
    except InvalidKey:
        return False
    return True


def _normal(password: str) -> str:
    """One spelling for what looks the same, whatever keyboard it comes from (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)


async def _apart(work: Callable[[], T]) -> T:
    global _waiting
    if _waiting >= MOST_WAITING:
        raise Unavailable("too many people sign in at this moment; try again soon")
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work)
    finally:
        _waiting -= 1


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


NOBODYS = (
    f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}"
    f"${_text(bytes(SALT_BYTES))}${_text(bytes(HASH_BYTES))}"
)
"""What the password of an unknown name is compared with: no password fits, and it takes as long."""
