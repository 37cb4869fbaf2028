"""Key pairs for ssh: made here, or checked and brought into OpenSSH's form. Knows no database."""

import re
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

Private = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
SMALLEST_RSA = 2048
UNUSABLE = "ssh knows no such key: use ed25519, ECDSA (NIST) or RSA, or let the server make a key"
BEGIN = re.compile(r"-----BEGIN ((?:[A-Z0-9]+ )*)PRIVATE KEY-----")


@dataclass(frozen=True)
class KeyPair:
    """Both halves in OpenSSH's form: a file's whole text, and one line."""

    private: str = field(repr=False)
    public: str


def make(comment: str) -> KeyPair:
    """A fresh ed25519 pair."""
    return _pair(Ed25519PrivateKey.generate(), comment)


def check(text: str, comment: str) -> KeyPair:
    """The pair of a private key in OpenSSH or PEM form. ValueError, as a sentence, if ssh could not
    use it. Takes seconds for a huge RSA key: not for the event loop, nor within a transaction."""
    private = _loaded("\n".join(line.strip() for line in text.strip().splitlines()) + "\n")
    if isinstance(private, RSAPrivateKey) and private.key_size < SMALLEST_RSA:
        raise ValueError(
            f"the RSA key has {private.key_size} bits, which is too weak: use {SMALLEST_RSA} or "
            "more, or let the server make a key"
        )
    try:
        return _pair(private, comment)
    except ValueError:
        raise ValueError(UNUSABLE) from None


def _loaded(text: str) -> Private:
    begin = BEGIN.match(text)
    if not begin:
        raise ValueError(_what_else(text))
    openssh = begin[1] == "OPENSSH "
    load = forms.load_ssh_private_key if openssh else forms.load_pem_private_key
    if begin[1] == "DSA ":
        raise ValueError(UNUSABLE)
    try:
        private = load(text.encode(), password=None)
    except TypeError:
        raise ValueError(
            "the key has a passphrase, which nobody could type at night: take it off a copy with "
            "ssh-keygen -p, or let the server make a key"
        ) from None
    except UnsupportedAlgorithm:
        raise ValueError(UNUSABLE) from None
    except ValueError:
        raise ValueError("the key is damaged: paste it from the BEGIN to the END line") from None
    if not isinstance(private, Private):
        raise ValueError(UNUSABLE)
    return private


def _what_else(text: str) -> str:
    """The sentence for a text that does not begin like a private key."""
    if text.startswith("PuTTY-User-Key-File"):
        return "this is PuTTY's own format: export it as an OpenSSH key in PuTTYgen"
    if re.match(r"(ssh|ecdsa|sk)-\S+ \S+", text) or "PUBLIC KEY" in text[:40]:
        return "this is the public half: paste the private one, or let the server make a key"
    return "paste a private key, from the BEGIN line to the END line"


def _pair(private: Private, comment: str) -> KeyPair:
    text = private.private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.OpenSSH, forms.NoEncryption()
    )
    public = private.public_key().public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH)
    return KeyPair(text.decode(), f"{public.decode()} {comment}")
