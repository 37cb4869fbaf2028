"""Credentials for private repositories, and whose ssh keys are believed.

Called by the API and the pages for people, by the engine for runs (`credentials_for`,
`known_hosts_text`) and for what runners met (`note_host_keys`). No answer holds a secret; only a
runner's `Secrets` do.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runhook.errors import Conflict, Invalid, NotFound
from runhook.keys import Keys
from runhook.model import host_key
from runhook.model.access import Caller
from runhook.model.git_access import GitCredentialInfo, KnownHost, NewCredential
from runhook.model.host_key import HostKey
from runhook.model.place import Place, place_of
from runhook.ring import Ring
from runhook.runner.spec import GitCredential
from runhook.services import audit, ssh_keys
from runhook.services.access import require, require_admin, require_scope, visible_owners
from runhook.services.members import require_owner
from runhook.store import git
from runhook.store.database import Transaction
from runhook.store.tables import new_id

MOST_KEYS_NOTED = 8
MOST_UNCONFIRMED = 200


@dataclass(frozen=True)
class SealedCredential:
    """A new credential, checked and encrypted, ready to be kept."""

    info: GitCredentialInfo
    sealed: bytes = field(repr=False)


def seal_credential(
    keys: Keys, caller: Caller, new: NewCredential, now: datetime
) -> SealedCredential:
    """Check or make the key, and encrypt what is secret.

    Apart from `add_credential` because checking a big RSA key takes seconds: call it in a thread of
    its own. Invalid if ssh could not use the key.
    """
    owner = new.owner or caller.owner
    require(caller, "git:write", owner, what=f"owner {owner}")
    pair = _key_pair(new) if new.kind == "ssh_key" else None
    info = GitCredentialInfo(
        id=new_id(),
        owner=owner,
        name=new.name,
        kind=new.kind,
        url_prefix=new.url_prefix,
        username=new.username,
        public_key=pair.public if pair else None,
        created_at=now,
    )
    secret = pair.private if pair else new.value or ""
    return SealedCredential(info, keys.encrypt(secret, _context(info)))


def _key_pair(new: NewCredential) -> ssh_keys.KeyPair:
    comment = f"runhook-{new.name}"
    if new.value is None:
        return ssh_keys.make(comment)
    try:
        return ssh_keys.check(new.value, comment)
    except ValueError as error:
        raise Invalid("cannot use this key", details={"value": str(error)}) from None


def _context(info: GitCredentialInfo) -> str:
    """What the encryption is bound to: a secret moved to another row, or a row that was made to
    point at another host, cannot be opened."""
    bound = [info.id, info.owner, info.name, info.kind, info.url_prefix, info.username]
    return json.dumps(["git credential", *bound])


def add_credential(tx: Transaction, caller: Caller, new: SealedCredential) -> GitCredentialInfo:
    """Keep a credential; of an ssh key the public half is in the answer.

    Conflict if the owner has one of that name.
    """
    info = new.info
    require(caller, "git:write", info.owner, what=f"owner {info.owner}")
    require_owner(tx, caller, info.owner)
    if not git.insert_credential(tx, info, new.sealed):
        raise Conflict(
            f"{info.owner} already has a git credential called {info.name}",
            details={"name": "is taken"},
        )
    _record_credential(tx, caller, "added", info, info.created_at)
    return info


def _record_credential(
    tx: Transaction, caller: Caller, verb: str, info: GitCredentialInfo, now: datetime
) -> None:
    about = {"kind": info.kind, "url_prefix": info.url_prefix, "username": info.username}
    gone = verb == "deleted"
    audit.record(
        tx,
        caller,
        f"git-credential.{verb}",
        now,
        kind="git-credential",
        id=info.id,
        name=info.name,
        owner=info.owner,
        before=about if gone else None,
        after=None if gone else about,
    )


def list_credentials(tx: Transaction, caller: Caller) -> list[GitCredentialInfo]:
    """Those the caller sees, without their secrets."""
    owners = visible_owners(caller, "git:read")
    return git.list_credentials(tx, None if owners is None else list(owners))


def delete_credential(tx: Transaction, caller: Caller, credential_id: str, now: datetime) -> None:
    """Forget it. Attempts that have started keep what they were given; NotFound if repeated."""
    info = git.get_credential(tx, credential_id)
    what = f"git credential {credential_id}"
    if info is None:
        raise NotFound(f"there is no {what} here")
    require(caller, "git:write", info.owner, what=what)
    git.delete_credential(tx, credential_id)
    _record_credential(tx, caller, "deleted", info, now)


def credentials_for(
    tx: Transaction, keys: Keys, owner: str, urls: Sequence[str]
) -> dict[str, tuple[str, GitCredential]]:
    """For each URL that one of the owner's credentials opens: its id, and what opens it.

    The longest matching prefix is taken, of equal ones the newest. RunhookError if a secret cannot
    be decrypted.
    """
    if not urls:
        return {}
    known = git.list_credentials(tx, [owner])
    chosen = {url: info for url in urls if (info := _best(known, url))}
    return {url: (info.id, _opened(tx, keys, info)) for url, info in chosen.items()}


def credential_of(tx: Transaction, owner: str, url: str) -> str | None:
    """The id of the owner's credential that opens the URL, as `credentials_for` chooses it."""
    info = _best(git.list_credentials(tx, [owner]), url)
    return info.id if info else None


def _best(known: Sequence[GitCredentialInfo], url: str) -> GitCredentialInfo | None:
    place = _place(url)
    if place is None:
        return None
    fitting = [
        (len(prefix.segments), info.created_at, info.id, info)
        for info in known
        if (prefix := _place(info.url_prefix)) and prefix.covers(place)
    ]
    return max(fitting)[-1] if fitting else None


def _place(address: str) -> Place | None:
    """What has no place is opened by nothing: no doubt may hand out a secret."""
    try:
        return place_of(address)
    except ValueError:
        return None


def _opened(tx: Transaction, keys: Keys, info: GitCredentialInfo) -> GitCredential:
    secret = keys.decrypt(git.sealed_secret(tx, info.id), _context(info))
    return GitCredential(info.kind, info.username, secret)


def reseal(tx: Transaction, ring: Ring) -> int:
    """Encrypt every credential anew, with the first key of the ring; how many there are."""
    known = git.list_credentials(tx, None)
    for info in known:
        secret = ring.decrypt(git.sealed_secret(tx, info.id), _context(info))
        git.replace_sealed(tx, info.id, ring.encrypt(secret, _context(info)))
    return len(known)


def list_hosts(tx: Transaction, caller: Caller) -> list[KnownHost]:
    """Every ssh host key that was shown or added."""
    require_scope(caller, "git:read")
    return git.list_hosts(tx)


def add_host(tx: Transaction, caller: Caller, line: str, now: datetime) -> KnownHost:
    """Believe a key that an administrator gives as a line of a known_hosts file. Other keys of the
    host stay as they are; repeating it changes nothing."""
    require_admin(caller, "hosts:write")
    try:
        host, key = host_key.parse_line(line)
    except ValueError as error:
        raise Invalid("cannot use this host key", details={"line": str(error)}) from None
    noted = _note(tx, host, key, now)
    return confirm_host(tx, caller, noted.id, now)


def confirm_host(tx: Transaction, caller: Caller, host_id: str, now: datetime) -> KnownHost:
    """Believe a key that a runner was shown, beside those that are believed already; who said so
    first is kept."""
    require_admin(caller, "hosts:write")
    host = _host(tx, host_id)
    git.confirm_host(tx, host_id, caller.user_id, now)
    if host.confirmed_at is None:
        _record_host(tx, caller, "confirmed", host, now)
    return _host(tx, host_id)


def _record_host(
    tx: Transaction, caller: Caller, verb: str, host: KnownHost, now: datetime
) -> None:
    about, gone = {"fingerprint": host.fingerprint}, verb == "forgotten"
    audit.record(
        tx,
        caller,
        f"host-key.{verb}",
        now,
        kind="host-key",
        id=host.id,
        name=host.host,
        before=about if gone else None,
        after=None if gone else about,
    )


def delete_host(tx: Transaction, caller: Caller, host_id: str, now: datetime) -> None:
    """Believe it no longer. NotFound if repeated."""
    require_admin(caller, "hosts:write")
    host = _host(tx, host_id)
    git.delete_host(tx, host_id)
    _record_host(tx, caller, "forgotten", host, now)


def _host(tx: Transaction, host_id: str) -> KnownHost:
    host = git.get_host(tx, host_id)
    if host is None:
        raise NotFound(f"there is no host key {host_id} here")
    return host


def note_host_keys(tx: Transaction, host: Any, keys: Any, now: datetime) -> None:
    """Keep what a runner was shown, unconfirmed; a key that is kept already stays as it is.

    A runner's report is not to be trusted: what is no host with keys is left out, and of all the
    unconfirmed keys only the newest `MOST_UNCONFIRMED` are kept.
    """
    if not isinstance(host, str) or not isinstance(keys, list):
        return
    for item in keys[:MOST_KEYS_NOTED]:
        try:
            name = host_key.known_host(host)
            key = host_key.host_key(str(item["type"]), str(item["key"]))
        except (ValueError, KeyError, TypeError):
            continue
        _note(tx, name, key, now)
    git.trim_unconfirmed_hosts(tx, MOST_UNCONFIRMED)


def _note(tx: Transaction, host: str, key: HostKey, now: datetime) -> KnownHost:
    """The key's row, new or as it was."""
    noted = KnownHost(new_id(), host, key.line, key.fingerprint, now, None, None)
    git.insert_host(tx, noted)
    return next(each for each in git.list_hosts(tx, host) if each.fingerprint == key.fingerprint)


def known_hosts_text(tx: Transaction) -> str:
    """The confirmed keys as an OpenSSH known_hosts file (sshd(8))."""
    confirmed = [host for host in git.list_hosts(tx) if host.confirmed_at]
    return "".join(f"{host.host} {host.key}\n" for host in confirmed)
