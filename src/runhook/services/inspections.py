"""What is asked of repositories, for whom, and with which credential. The asking itself, which
takes its time, is done by `runhook.inquiry`, outside any transaction.

Reading a repository with an owner's credential is what a job of that owner could do, so it takes
the right to write one (`jobs:write`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.inspection import RepositoryQuestion
from runhook.model.source import Repository
from runhook.runner.inspection import Request
from runhook.runner.spec import Places, Secrets
from runhook.services import audit, git_access
from runhook.services.access import require
from runhook.services.members import require_owner
from runhook.store.database import Transaction

AS_OLD_AS = timedelta(seconds=10)
"""A remote that was asked no longer ago is not asked again: people type, and look twice."""
LOG_SECONDS = 10.0
JOB_SECONDS = 20.0
"""What is known of a job's contract is waited for by whoever starts it."""


def asked(
    tx: Transaction,
    keys: Keys,
    places: Places,
    caller: Caller,
    question: RepositoryQuestion,
    now: datetime,
) -> Request:
    """The request that answers a person's question, which the audit log tells. NotFound or
    Forbidden unless the caller may write jobs of the owner."""
    owner = question.owner or caller.owner
    require(caller, "jobs:write", owner, what=f"owner {owner}")
    require_owner(tx, caller, owner)
    after = {"reference": question.reference, "path": question.path}
    told = {name: value for name, value in after.items() if value} | {"url": question.url}
    audit.record(
        tx,
        caller,
        "repository.inspected",
        now,
        kind="repository",
        id="",
        name=question.url[:255],
        owner=owner,
        after=audit.shortened(told),
    )
    return _request(
        *(tx, keys, places, owner, question.url, now - AS_OLD_AS),
        reference=question.reference or None,
        reference_type=question.reference_type,
        path=question.path,
        files=question.files,
    )


def for_file(
    tx: Transaction,
    keys: Keys,
    places: Places,
    owner: str,
    repository: Repository,
    path: str,
    now: datetime,
) -> Request:
    """The request that reads one file of a job's repository, as its runs would find it now."""
    return _request(
        *(tx, keys, places, owner, repository.url, now),
        reference=repository.reference or None,
        reference_type=repository.reference_type if repository.reference else None,
        path=path,
        files=False,
        seconds=JOB_SECONDS,
    )


def for_log(
    tx: Transaction, places: Places, owner: str, url: str, since: str, until: str, now: datetime
) -> Request:
    """The request for the commits between two that runs of a job had checked out: in the mirror
    that they used, without asking anybody, so no credential is handed out."""
    credential = git_access.credential_of(tx, owner, url)
    more: dict[str, Any] = {"since": since, "reference": until, "seconds": LOG_SECONDS}
    return Request(url, places, Secrets(), now.timestamp(), credential=credential, **more)


def _request(
    tx: Transaction,
    keys: Keys,
    places: Places,
    owner: str,
    url: str,
    asked_at: datetime,
    **more: Any,
) -> Request:
    found = git_access.credentials_for(tx, keys, owner, [url])
    credential = found[url][0] if url in found else None
    secrets = Secrets(dict(found.values()), known_hosts=git_access.known_hosts_text(tx))
    return Request(url, places, secrets, asked_at.timestamp(), credential=credential, **more)


def note_hosts(tx: Transaction, host_keys: Sequence[Any], now: datetime) -> None:
    """Keep what unknown ssh hosts showed on the way, for an administrator to confirm."""
    for each in host_keys:
        git_access.note_host_keys(tx, each.get("host"), each.get("keys"), now)
