"""Credentials for private repositories, and whose ssh keys are believed."""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from runhook.errors import Conflict, Invalid, NotFound
from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.git_access import GitCredentialInfo, Kind, KnownHost, place_of
from runhook.runner.spec import GitCredential
from runhook.services.access import require, require_admin, require_scope, visible_owners
from runhook.store import git
from runhook.store.database import Transaction
from runhook.store.tables import new_id

HOST = re.compile(r"^(\[[A-Za-z0-9][\w.:-]*\]:\d{1,5}|[A-Za-z0-9][\w.:-]*)$")
KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
MOST_KEYS_NOTED = 8


class NewCredential(BaseModel):
    """What is given for a new credential. An ssh key without a `value` is generated."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)
    kind: Kind
    url_prefix: str = Field(max_length=2048)
    username: str = Field(default="", max_length=255, pattern=r"^[^\x00-\x1f]*$")
    value: str | None = Field(default=None, max_length=32_768, repr=False)
    owner: str | None = Field(default=None, max_length=128)

    @field_validator("url_prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        place_of(prefix)
        return prefix

    @model_validator(mode="after")
    def _check_kind(self) -> "NewCredential":
        scheme = place_of(self.url_prefix).scheme
        if self.kind == "token" and scheme not in ("https", "http"):
            raise ValueError("url_prefix: a token opens https addresses")
        if self.kind == "ssh_key" and scheme != "ssh":
            raise ValueError("url_prefix: a key opens ssh addresses, such as git@github.com:")
        if self.kind == "token" and not (self.value or "").strip():
            raise ValueError("value: give the token")
        return self


def add_credential(
    tx: Transaction, keys: Keys, caller: Caller, new: NewCredential, now: datetime
) -> GitCredentialInfo:
    """Keep a credential, encrypted; of an ssh key the public half is in the answer.

    Conflict if the owner has one of that name.
    """
    owner = new.owner or caller.owner
    require(caller, "git:write", owner, what=f"owner {owner}")
    if git.find_credential(tx, owner, new.name):
        raise Conflict(f"{owner} already has a git credential called {new.name}")
    secret, public = (new.value or "").strip(), None
    if new.kind == "ssh_key":
        secret, public = _key_pair(new.value, new.name)
    info = GitCredentialInfo(
        new_id(), owner, new.name, new.kind, new.url_prefix, new.username, public, now
    )
    git.insert_credential(tx, info, keys.encrypt(secret, _context(info)))
    return info


def _key_pair(given: str | None, name: str) -> tuple[str, str]:
    """The private half as OpenSSH wants it, and the public half."""
    private = _loaded(given) if given and given.strip() else Ed25519PrivateKey.generate()
    text = private.private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.OpenSSH, forms.NoEncryption()
    )
    public = private.public_key().public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH)
    return text.decode(), f"{public.decode()} runhook-{name}"


def _loaded(text: str) -> Any:
    data = text.replace("\r\n", "\n").strip().encode() + b"\n"
    loaders = (forms.load_ssh_private_key, forms.load_pem_private_key)
    for load in loaders:
        try:
            return load(data, password=None)
        except TypeError:
            sentence = "the key has a passphrase: take it off, or let the server make a key"
            raise Invalid("cannot use this key", details={"value": sentence}) from None
        except ValueError:
            continue
    sentence = "paste a private key, from the BEGIN line to the END line"
    raise Invalid("cannot use this key", details={"value": sentence})


def _context(info: GitCredentialInfo) -> str:
    return f"git credential {info.id} of {info.owner}"


def list_credentials(tx: Transaction, caller: Caller) -> list[GitCredentialInfo]:
    """Those the caller sees, without their secrets."""
    require_scope(caller, "git:read")
    owners = visible_owners(caller)
    return git.list_credentials(tx, None if owners is None else list(owners))


def delete_credential(tx: Transaction, caller: Caller, credential_id: str) -> None:
    info = git.get_credential(tx, credential_id)
    what = f"git credential {credential_id}"
    if info is None:
        raise NotFound(f"there is no {what} here")
    require(caller, "git:write", info.owner, what=what)
    git.delete_credential(tx, credential_id)


def credentials_for(
    tx: Transaction, keys: Keys, owner: str, urls: Sequence[str]
) -> dict[str, tuple[str, GitCredential]]:
    """For each URL that one of the owner's credentials opens: its id, and what opens it. The one
    for the longest beginning of the address is taken."""
    if not urls:
        return {}
    known = git.list_credentials(tx, [owner])
    chosen = {url: info for url in urls if (info := _best(known, url))}
    return {url: (info.id, _opened(tx, keys, info)) for url, info in chosen.items()}


def _best(known: Sequence[GitCredentialInfo], url: str) -> GitCredentialInfo | None:
    try:
        place = place_of(url)
    except ValueError:
        return None
    fitting = [info for info in known if place_of(info.url_prefix).covers(place)]
    return max(fitting, key=lambda info: len(place_of(info.url_prefix).segments), default=None)


def _opened(tx: Transaction, keys: Keys, info: GitCredentialInfo) -> GitCredential:
    secret = keys.decrypt(git.sealed_secret(tx, info.id), _context(info))
    return GitCredential(info.kind, info.username, secret)


def list_hosts(tx: Transaction, caller: Caller) -> list[KnownHost]:
    """Every ssh host key that was shown or added."""
    require_scope(caller, "git:read")
    return git.list_hosts(tx)


def add_host(tx: Transaction, caller: Caller, line: str, now: datetime) -> KnownHost:
    """Believe a key that an administrator gives as a line of a known_hosts file."""
    require_admin(caller, "git:write")
    words = line.split()
    if len(words) < 3:
        sentence = "write a line of a known_hosts file: host, type and key"
        raise Invalid("cannot use this host key", details={"line": sentence})
    host = _note(tx, words[0], f"{words[1]} {words[2]}", now)
    if host is None:
        raise Invalid("cannot use this host key", details={"line": "host or key cannot be read"})
    git.confirm_host(tx, host.id, caller.user_id, now)
    return _host(tx, host.id)


def confirm_host(tx: Transaction, caller: Caller, host_id: str, now: datetime) -> KnownHost:
    """Believe a key that a runner was shown."""
    require_admin(caller, "git:write")
    _host(tx, host_id)
    git.confirm_host(tx, host_id, caller.user_id, now)
    return _host(tx, host_id)


def delete_host(tx: Transaction, caller: Caller, host_id: str) -> None:
    """Believe it no longer."""
    require_admin(caller, "git:write")
    _host(tx, host_id)
    git.delete_host(tx, host_id)


def _host(tx: Transaction, host_id: str) -> KnownHost:
    for host in git.list_hosts(tx):
        if host.id == host_id:
            return host
    raise NotFound(f"there is no host key {host_id} here")


def note_host_keys(tx: Transaction, host: Any, keys: Any, now: datetime) -> None:
    """Keep what a runner was shown, unconfirmed. What is not a host with keys is left out."""
    if not isinstance(host, str) or not isinstance(keys, list):
        return
    for item in keys[:MOST_KEYS_NOTED]:
        if isinstance(item, dict):
            _note(tx, host, f"{item.get('type')} {item.get('key')}", now)


def _note(tx: Transaction, host: str, key: str, now: datetime) -> KnownHost | None:
    """The key's row, new or as it was; None if this is no host or no key."""
    fingerprint = _fingerprint(key)
    if fingerprint is None or not HOST.match(host) or len(host) > 255:
        return None
    for known in git.list_hosts(tx):
        if (known.host, known.fingerprint) == (host, fingerprint):
            return known
    noted = KnownHost(new_id(), host, key, fingerprint, now, None, None)
    git.insert_host(tx, noted)
    return noted


def _fingerprint(key: str) -> str | None:
    """As `ssh-keygen -l` writes it: SHA256 and unpadded base64."""
    kind, _, text = key.partition(" ")
    try:
        blob = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    if kind not in KEY_TYPES or kind.encode() not in blob[:64] or len(key) > 8_192:
        return None
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def known_hosts_text(tx: Transaction) -> str:
    """The confirmed keys as an OpenSSH known_hosts file (sshd(8))."""
    confirmed = [host for host in git.list_hosts(tx) if host.confirmed_at]
    return "".join(f"{host.host} {host.key}\n" for host in confirmed)
