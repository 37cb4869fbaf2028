"""The server's key file and everything that is derived from it: tokens. With it goes the ring, for
what is encrypted at rest.

One random 32-byte key in `<data>/keys/server.key` (0600). Each use gets a key of its own by
HKDF-SHA256 (RFC 5869), so that no two uses can be played against each other.
"""

import hmac
import os
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from runhook import keyfile
from runhook.errors import SettingsError
from runhook.model.token import RANDOM_DIGITS, spelled
from runhook.ring import NONCE_BYTES, Ring

KEY_BYTES = 32
RUN_TOKEN_PREFIX = "rhr_"  # noqa: S105  no secret: how scanners know one
RUN_TOKEN = re.compile(rf"{RUN_TOKEN_PREFIX}([0-9a-f]{{32}})([0-9a-f]{{8}})[0-9a-f]{{32}}")


class Keys:
    """The key file, opened, and the ring; without a ring nothing can be encrypted or decrypted."""

    def __init__(self, key: bytes, ring: Ring | None = None) -> None:
        self._tokens = _derived(key, b"user token")
        self._run_tokens = _derived(key, b"run token")
        self._webhooks = _derived(key, b"webhook")
        self._forms = _derived(key, b"forms")
        self._failures = _derived(key, b"sign-in failures")
        self._ring = ring or Ring()
        self._attempts = AESGCM(_derived(key, b"sign-on attempt"))

    @classmethod
    def open(cls, directory: Path, ring: Ring | None = None) -> "Keys":
        """The key in `directory`, made at the first call. Two processes that make it at the same
        moment end up with the same key. SettingsError if others than the owner may read it, or if
        it cannot be read at all."""
        path = directory / "server.key"
        keyfile.create(path, os.urandom(KEY_BYTES))
        key = keyfile.read(path)
        if len(key) != KEY_BYTES:
            raise SettingsError(f"cannot start: {path} is damaged; put its backup back in place")
        return cls(key, ring)

    def user_token(self, user_id: str, rotation: int) -> str:
        """The account's token, 32 hexadecimal digits: the same until `rotation` changes."""
        return hmac.new(self._tokens, f"{user_id}.{rotation}".encode(), "sha256").hexdigest()[:32]

    def run_token(self, attempt_id: str, rotation: int = 0) -> str:
        """What an attempt proves with that it is itself; good only while the attempt lives and its
        job's tokens are at `rotation`."""
        claim = f"{attempt_id}{rotation:08x}"
        proof = hmac.new(self._run_tokens, claim.encode(), "sha256").hexdigest()[:32]
        return f"{RUN_TOKEN_PREFIX}{claim}{proof}"

    def attempt_of(self, token: str) -> tuple[str, int] | None:
        """The attempt and the rotation that a run token was made for; None if it is no genuine run
        token. The proof is compared in constant time, before anything is looked up."""
        match = RUN_TOKEN.fullmatch(token)
        if match is None:
            return None
        attempt_id, rotation = match[1], int(match[2], 16)
        genuine = hmac.compare_digest(token, self.run_token(attempt_id, rotation))
        return (attempt_id, rotation) if genuine else None

    def webhook_secret(self, job_id: str, name: str) -> bytes:
        """The 32 bytes that the senders of a job's webhook sign with; another name, another secret.
        Nothing of it is stored."""
        return hmac.digest(self._webhooks, f"{job_id}/{name}".encode(), "sha256")

    def form_token(self, session_id: str) -> str:
        """What the forms of a session carry, so that only our own pages can send them (OWASP: HMAC
        based CSRF token): the same for as long as the session lasts."""
        return hmac.new(self._forms, session_id.encode(), "sha256").hexdigest()

    def failure_key(self, kind: str, value: str) -> str:
        """Under which name failed sign-ins of a name or an address are counted: nobody without the
        key can tell whose they are."""
        return hmac.new(self._failures, f"{kind}/{value}".encode(), "sha256").hexdigest()

    def encrypt(self, text: str, context: str) -> bytes:
        """`text` sealed by the ring, bound to `context`."""
        return self._ring.encrypt(text, context)

    def decrypt(self, sealed: bytes, context: str) -> str:
        """The counterpart of `encrypt`; RunhookError if key, context or bytes are not the same."""
        return self._ring.decrypt(sealed, context)

    def seal_attempt(self, text: str) -> str:
        """What a browser keeps of an attempt to sign in and can neither read nor change, safe in a
        cookie."""
        nonce = os.urandom(NONCE_BYTES)
        return _encoded(nonce + self._attempts.encrypt(nonce, text.encode(), None))

    def open_attempt(self, sealed: str) -> str | None:
        """The counterpart of `seal_attempt`; None if we did not make it."""
        try:
            data = urlsafe_b64decode(sealed.encode("ascii") + b"==")
            return self._attempts.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], None).decode()
        except (InvalidTag, ValueError):
            return None


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def random_credential() -> str:
    """A session id or one-time token: 256 random bits, safe in a URL."""
    return secrets.token_urlsafe(32)


def random_token(prefix: str) -> str:
    """A named token (`model.token`): 178 random bits behind the prefix, and check digits."""
    return spelled(prefix, [secrets.randbelow(62) for _ in range(RANDOM_DIGITS)])


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"runhook " + purpose).derive(key)
