"""Ssh keys as the compatible contract has them: git credentials that are bound to no address. One
is its owner's default for ssh, or it opens only repositories that name it. Keys that are bound to
addresses are among them, too, and stay bound."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from runhook.errors import Conflict, Invalid, NotFound
from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.git_access import ANY_SSH, NAMED_ONLY, GitCredentialInfo
from runhook.services import git_access, ssh_keys
from runhook.services.access import require
from runhook.services.git_access import SealedCredential
from runhook.services.ssh_keys import KeyPair
from runhook.store import git
from runhook.store.database import Transaction
from runhook.store.tables import new_id

UNBOUND = (ANY_SSH, NAMED_ONLY)


@dataclass(frozen=True)
class KeyChange:
    """What is to be different about a key; None stays as it is."""

    name: str | None = None
    is_default: bool | None = None
    pair: KeyPair | None = field(default=None, repr=False)


def pair_of(value: str | None, name: str) -> KeyPair:
    """The pair of a private key, or a fresh one. Invalid if ssh could not use it. Not within a
    transaction: checking a big RSA key takes seconds."""
    try:
        return ssh_keys.check(value, f"runhook-{name}") if value else ssh_keys.make(name)
    except ValueError as error:
        raise Invalid("cannot use this key", details={"value": str(error)}) from None


def list_all(tx: Transaction, caller: Caller) -> Sequence[GitCredentialInfo]:
    """The keys that the caller sees, without what is secret."""
    found = git_access.list_credentials(tx, caller)
    return [info for info in found if info.kind == "ssh_key"]


def get(
    tx: Transaction, caller: Caller, key_id: str, action: str = "git:read"
) -> GitCredentialInfo:
    """One of them, if the caller may do `action` with it."""
    info = git.get_credential(tx, key_id)
    what = f"ssh key {key_id}"
    if info is None or info.kind != "ssh_key":
        raise NotFound(f"there is no {what} here")
    require(caller, action, info.owner, what=what)
    return info


def add(
    tx: Transaction,
    keys: Keys,
    caller: Caller,
    owner: str,
    name: str,
    pair: KeyPair,
    now: datetime,
    *,
    is_default: bool = False,
) -> GitCredentialInfo:
    """Keep a key. A default one takes the place of the default there was. Conflict if its owner has
    a git credential of that name."""
    require(caller, "git:write", owner, what=f"owner {owner}")
    prefix = ANY_SSH if is_default else NAMED_ONLY
    info = GitCredentialInfo(new_id(), owner, name, "ssh_key", prefix, "", pair.public, now)
    if is_default:
        _end_default(tx, keys, caller, owner, now)
    sealed = keys.encrypt(pair.private, git_access.context_of(info))
    return git_access.add_credential(tx, caller, SealedCredential(info, sealed))


def change(
    tx: Transaction, keys: Keys, caller: Caller, key_id: str, wanted: KeyChange, now: datetime
) -> GitCredentialInfo:
    """Another name or key, or the default or not. Runs that have started keep what they were given.

    Conflict if the name is taken, or if a key that is bound to addresses is to be the default.
    """
    before = get(tx, caller, key_id, "git:write")
    after = replace(before, name=wanted.name or before.name)
    if wanted.is_default is not None and wanted.is_default != (before.url_prefix == ANY_SSH):
        if before.url_prefix not in UNBOUND:
            raise Conflict(f"{before.name} is for addresses under {before.url_prefix} only")
        after = replace(after, url_prefix=ANY_SSH if wanted.is_default else NAMED_ONLY)
    if wanted.pair:
        after = replace(after, public_key=wanted.pair.public)
    if after.name != before.name and _named(tx, after.owner, after.name):
        sentence = f"{after.owner} already has a git credential called {after.name}"
        raise Conflict(sentence, details={"name": "is taken"})
    if after.url_prefix == ANY_SSH != before.url_prefix:
        _end_default(tx, keys, caller, after.owner, now)
    _put(tx, keys, before, after, wanted.pair)
    if after != before or wanted.pair:
        git_access.record_change(tx, caller, before, after, now)
    return after


def delete(tx: Transaction, caller: Caller, key_id: str, now: datetime) -> None:
    """Forget it; repositories that named it do so no longer. NotFound if repeated."""
    get(tx, caller, key_id, "git:write")
    git_access.delete_credential(tx, caller, key_id, now)


def _named(tx: Transaction, owner: str, name: str) -> bool:
    return any(info.name == name for info in git.list_credentials(tx, [owner]))


def _put(
    tx: Transaction,
    keys: Keys,
    before: GitCredentialInfo,
    after: GitCredentialInfo,
    pair: KeyPair | None = None,
) -> None:
    """Encrypted anew: what is secret is bound to what stands beside it."""
    old = git.sealed_secret(tx, before.id)
    secret = pair.private if pair else keys.decrypt(old, git_access.context_of(before))
    git.update_credential(tx, after, keys.encrypt(secret, git_access.context_of(after)))


def _end_default(tx: Transaction, keys: Keys, caller: Caller, owner: str, now: datetime) -> None:
    for info in git.list_credentials(tx, [owner]):
        if info.url_prefix == ANY_SSH:
            ended = replace(info, url_prefix=NAMED_ONLY)
            _put(tx, keys, info, ended)
            git_access.record_change(tx, caller, info, ended, now)
