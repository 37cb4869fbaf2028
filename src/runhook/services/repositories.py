"""Repositories as things of their own, which the compatible contract has: an owner's addresses. One
is known because jobs name it, or because it was added; adding it says by which key it is opened,
where that is not to be found by its address. Where a job's code comes from stands in the job alone.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runhook.errors import Conflict, Invalid, NotFound
from runhook.model.access import Caller
from runhook.model.git_access import GitCredentialInfo
from runhook.model.source import check_url
from runhook.services import audit, git_access, private_keys
from runhook.services.access import require, visible_owners
from runhook.services.members import require_owner
from runhook.store import repositories
from runhook.store.database import Transaction
from runhook.store.repositories import Added


@dataclass(frozen=True)
class Repository:
    """An owner's address; `opener` is the credential that its jobs would fetch it with, and `added`
    is None where only jobs name it."""

    id: str
    owner: str
    url: str
    created_at: datetime
    opener: GitCredentialInfo | None
    added: Added | None


def id_of(owner: str, url: str) -> str:
    """Made from owner and address, so that a job's repositories need no row of their own."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"repository/{owner}/{url}").hex


def list_all(
    tx: Transaction, caller: Caller, owner: str | None = None, action: str = "git:read"
) -> list[Repository]:
    """Those of an owner, or of all whom the caller sees; by address. `action` is what the caller's
    credential must be good for."""
    visible = visible_owners(caller, action)
    if owner is not None:
        visible = [owner] if visible is None or owner in visible else []
    added = {each.id: each for each in repositories.list_added(tx, visible)}
    known = {each.id: (each.owner, each.url, each.created_at) for each in added.values()}
    for use in repositories.uses(tx, visible):
        known.setdefault(id_of(use.owner, use.url), (use.owner, use.url, use.since))
    openers = {
        each: git_access.openers(tx, each, [url for of, url, _ in known.values() if of == each])
        for each in {of for of, _, _ in known.values()}
    }
    found = [
        Repository(key, of, url, since, openers[of].get(url), added.get(key))
        for key, (of, url, since) in known.items()
    ]
    return sorted(found, key=lambda each: (each.url, each.owner))


def get(
    tx: Transaction, caller: Caller, repository_id: str, action: str = "git:read"
) -> Repository:
    """One of them, if the caller may do `action` with it."""
    found = _find(tx, visible_owners(caller, action), repository_id)
    what = f"repository {repository_id}"
    if found is None:
        raise NotFound(f"there is no {what} here")
    require(caller, action, found.owner, what=what)
    return found


def _find(
    tx: Transaction, visible: Collection[str] | None, repository_id: str
) -> Repository | None:
    """The one of that id: the address is known before anything else of it is looked up."""
    added = repositories.find(tx, repository_id)
    if added and not (visible is None or added.owner in visible):
        return None
    if added:
        of, url, since = added.owner, added.url, added.created_at
    else:
        uses = repositories.uses(tx, visible)
        use = next((use for use in uses if id_of(use.owner, use.url) == repository_id), None)
        if use is None:
            return None
        of, url, since = use.owner, use.url, use.since
    opener = git_access.openers(tx, of, [url]).get(url)
    return Repository(repository_id, of, url, since, opener, added)


def add(
    tx: Transaction, caller: Caller, owner: str, url: str, key_id: str | None, now: datetime
) -> Repository:
    """Know an address, perhaps with the key that opens it. Conflict if it was added before."""
    require(caller, "git:write", owner, what=f"owner {owner}")
    require_owner(tx, caller, owner)
    try:
        check_url(url)
    except ValueError as error:
        raise Invalid("cannot use this address", details={"remote_url": str(error)}) from None
    added = Added(id_of(owner, url), owner, url, _key(tx, caller, owner, url, key_id), now)
    if repositories.find(tx, added.id):
        raise Conflict(f"{owner} knows {url} already", hint=f"It is repository {added.id}.")
    repositories.put(tx, added)
    _record(tx, caller, "added", added, now, after=_told(added))
    return get(tx, caller, added.id, "git:write")


def name_key(
    tx: Transaction, caller: Caller, repository_id: str, key_id: str | None, now: datetime
) -> Repository:
    """The key that opens it for its owner's jobs; None: the one that its address asks for."""
    known = get(tx, caller, repository_id, "git:write")
    chosen = _key(tx, caller, known.owner, known.url, key_id)
    if (known.added.credential_id if known.added else None) == chosen:
        return known
    before = known.added or Added(known.id, known.owner, known.url, None, now)
    after = Added(before.id, before.owner, before.url, chosen, before.created_at)
    repositories.put(tx, after)
    _record(tx, caller, "changed", after, now, before=_told(before), after=_told(after))
    return get(tx, caller, repository_id, "git:write")


def delete(tx: Transaction, caller: Caller, repository_id: str, now: datetime) -> None:
    """Know it no longer. Conflict, naming them, while jobs check it out; NotFound if repeated."""
    known = get(tx, caller, repository_id, "git:write")
    names = [use.job_name for use in repositories.uses(tx, [known.owner]) if use.url == known.url]
    if names:
        listed = ", ".join(dict.fromkeys(names))
        raise Conflict(f"cannot forget {known.url}: {listed} use it", hint="Change these first.")
    assert known.added  # else no job would name it
    repositories.remove(tx, known.id)
    _record(tx, caller, "deleted", known.added, now, before=_told(known.added))


def _key(tx: Transaction, caller: Caller, owner: str, url: str, key_id: str | None) -> str | None:
    """The id of a key of that owner for an ssh address."""
    if key_id is None:
        return None
    key = private_keys.get(tx, caller, key_id, "git:write")
    if key.owner != owner:
        sentence = f"the key belongs to {key.owner}, and the repository to {owner}"
        raise Invalid("cannot use this key", details={"ssh_privatekey_id": sentence})
    if not git_access.is_ssh(url):
        sentence = "a key opens ssh addresses, such as git@github.com:acme/tools.git"
        raise Invalid("cannot use this key", details={"ssh_privatekey_id": sentence})
    return key.id


def _told(added: Added) -> dict[str, Any]:
    return {"url": added.url, "credential_id": added.credential_id}


def _record(
    tx: Transaction,
    caller: Caller,
    verb: str,
    added: Added,
    now: datetime,
    before: Any = None,
    after: Any = None,
) -> None:
    audit.record(
        tx,
        caller,
        f"repository.{verb}",
        now,
        kind="repository",
        id=added.id,
        name=added.url[:255],
        owner=added.owner,
        before=before,
        after=after,
    )


def attached_urls(tx: Transaction, caller: Caller, ids: Sequence[str]) -> dict[str, str]:
    """The addresses of repositories that the caller sees, by id; Invalid if one is not there."""
    known = {each.id: each.url for each in list_all(tx, caller)} if ids else {}
    for each in ids:
        if each not in known:
            sentence = f"there is no repository {each} here; add it at /api/external_repos"
            raise Invalid("cannot find a repository", details={"external_repo_id": sentence})
    return {each: known[each] for each in ids}
