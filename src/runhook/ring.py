"""The key ring: what is encrypted at rest, and with which key.

A ring is one or more random 32-byte keys, written in base64 with white space between them. The
first one encrypts, all of them decrypt, so that a key can be changed while old values are still
about. A sealed value begins with the short id of its key:

    4 bytes     id: the beginning of a SHA-256 over the key
    12 bytes    nonce, random
    rest        AES-256-GCM (NIST SP 800-38D), bound to the value's context

The ring comes from the setting `secrets.key`, else from what `secrets.key_command` prints, else
from `<data>/keys/secrets.key`. It is apart from the server's key: tokens outlive its rotation.
"""

import binascii
import hashlib
import os
import shlex
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runhook import keyfile
from runhook.errors import RunhookError, SettingsError

FILE = "secrets.key"
ID_BYTES, NONCE_BYTES, KEY_BYTES = 4, 12, 32
COMMAND_SECONDS = 30
LONGEST = 64 * 1024


class Ring:
    """Keys in their order; without any, nothing can be encrypted."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = {_id_of(key): key for key in keys}

    @classmethod
    def parse(cls, text: str, source: str) -> "Ring":
        """The ring that is written in `text`; SettingsError, naming the `source`, if it is none."""
        keys = []
        for number, word in enumerate(text.split(), 1):
            try:
                key = b64decode(word, validate=True)
            except (binascii.Error, ValueError):
                key = b""
            if len(key) != KEY_BYTES:
                raise SettingsError(
                    f"cannot start: key number {number} of {source} is not 32 bytes in base64; "
                    "make one with: head -c 32 /dev/urandom | base64"
                )
            keys.append(key)
        if not keys:
            raise SettingsError(f"cannot start: there is no key in {source}")
        return cls(*keys)

    @property
    def ids(self) -> list[bytes]:
        """The ids of the keys; the first one encrypts."""
        return list(self._keys)

    def text(self) -> str:
        """The ring as it is written, a key a line."""
        return "".join(f"{b64encode(key).decode()}\n" for key in self._keys.values())

    def first(self) -> "Ring":
        """The ring with the key alone that encrypts."""
        return Ring(*list(self._keys.values())[:1])

    def with_new_key(self) -> "Ring":
        """The ring with a new key before all others."""
        return Ring(os.urandom(KEY_BYTES), *self._keys.values())

    def joined(self, other: "Ring") -> "Ring":
        """This ring, and behind it what only the other one has."""
        return Ring(*{**self._keys, **other._keys}.values())

    def encrypt(self, text: str, context: str) -> bytes:
        """`text` sealed with the first key, bound to `context`."""
        if not self._keys:
            raise RunhookError("cannot encrypt because there is no key")
        identity, key = next(iter(self._keys.items()))
        nonce = os.urandom(NONCE_BYTES)
        return identity + nonce + AESGCM(key).encrypt(nonce, text.encode(), context.encode())

    def decrypt(self, sealed: bytes, context: str) -> str:
        """The counterpart; RunhookError if its key is not here, or context or bytes are others."""
        identity, nonce = sealed[:ID_BYTES], sealed[ID_BYTES : ID_BYTES + NONCE_BYTES]
        try:
            cipher = AESGCM(self._keys[identity])
            opened = cipher.decrypt(nonce, sealed[ID_BYTES + NONCE_BYTES :], context.encode())
        except (KeyError, InvalidTag, ValueError):  # ValueError: too short to hold even a nonce
            raise RunhookError(
                "cannot decrypt a stored secret: it was made with another key, or altered",
                hint="Put back the key ring that belongs to this database.",
            ) from None
        return opened.decode()

    def require(self, used: Collection[bytes]) -> None:
        """SettingsError unless everything sealed with the keys of these ids can be opened."""
        missing = sorted(set(used) - set(self._keys))
        if missing:
            raise SettingsError(
                "cannot start: stored secrets were encrypted with a key that is not in the ring "
                f"(its id: {', '.join(each.hex() for each in missing)}); put the key that was "
                "backed up with this database back in place, behind the present one"
            )


@dataclass(frozen=True)
class Source:
    """Where a server's ring comes from: `text` (the setting), else `command`, else `file`."""

    file: Path
    text: str = ""
    command: str = ""

    def __repr__(self) -> str:
        return f"Source({str(self.file)!r})"

    @property
    def is_file(self) -> bool:
        """May the ring be changed where it comes from?"""
        return not (self.text.strip() or self.command.strip())

    def open(self, used: Collection[bytes]) -> Ring:
        """The ring, with which all that was sealed with keys of the ids `used` can be opened. A
        file that is not there is made, with one key, unless something was sealed before.

        SettingsError, with one sentence, if there is no such ring.
        """
        if self.text.strip():
            ring = Ring.parse(self.text, "RUNHOOK_SECRETS_KEY")
        elif self.command.strip():
            ring = Ring.parse(_printed(self.command), "what secrets.key_command prints")
        else:
            ring = self._of_file(bool(used))
        ring.require(used)
        return ring

    def _of_file(self, must_exist: bool) -> Ring:
        if must_exist and not self.file.exists():
            raise SettingsError(
                f"cannot start: {self.file} is not there, and stored secrets are encrypted with a "
                "key in it; put the one that was backed up with this database back in place"
            )
        keyfile.create(self.file, Ring().with_new_key().text().encode())
        return Ring.parse(keyfile.read(self.file).decode("ascii", "replace"), str(self.file))


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"runhook key id " + key).digest()[:ID_BYTES]


def _printed(command: str) -> str:
    """What the command writes to standard output. It is no shell that runs it, and it has nothing
    to read; what it complains about goes where the server complains."""
    try:
        words = shlex.split(command)
        ended = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _failed(command, f"it took longer than {COMMAND_SECONDS} seconds") from None
    except (OSError, ValueError) as error:
        raise _failed(command, str(error)) from None
    if ended.returncode:
        raise _failed(command, f"it exited with status {ended.returncode}")
    return ended.stdout[:LONGEST].decode("ascii", "replace")


def _failed(command: str, why: str) -> SettingsError:
    return SettingsError(f"cannot start: secrets.key_command ({command}) gives no key: {why}")
