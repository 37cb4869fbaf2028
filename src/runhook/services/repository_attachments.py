"""Repositories attached to jobs, one by one: the compatible way to change `spec.git_repositories`,
which is where they stand."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runhook.errors import NotFound
from runhook.model.access import Caller
from runhook.model.job import Job
from runhook.model.source import Repository
from runhook.services import git_access, jobs
from runhook.services.access import visible_owners
from runhook.store import jobs as job_rows
from runhook.store import repositories
from runhook.store.database import Transaction

Given = list[dict[str, Any]]
HALF = 32
"""The id of an attachment is its job's and then one of its folder: it names no row."""


@dataclass(frozen=True)
class AttachedRepository:
    """A repository of a job; `by_key` says that an ssh key opens it."""

    job: Job
    repository: Repository
    by_key: bool

    @property
    def id(self) -> str:
        """It changes with the folder."""
        return attachment_id(self.job.id, self.repository.folder)


def attachment_id(job_id: str, folder: str) -> str:
    return job_id + uuid.uuid5(uuid.NAMESPACE_URL, f"folder/{folder}").hex


def list_attached(tx: Transaction, caller: Caller, job_id: str) -> list[AttachedRepository]:
    """What the job checks out, in the order of its definition."""
    return _of(tx, jobs.get(tx, caller, job_id))


def ids_of_all(tx: Transaction, caller: Caller) -> list[str]:
    """The ids of what all jobs that the caller sees check out: little is read for them, so that
    only what a page shows is looked at with `list_some`."""
    uses = repositories.uses(tx, visible_owners(caller, "jobs:read"))
    return [attachment_id(use.job_id, use.folder) for use in uses]


def list_some(tx: Transaction, caller: Caller, ids: Sequence[str]) -> list[AttachedRepository]:
    """Those of the ids that the caller sees, in their order; others are left out."""
    known = job_rows.jobs_of(tx, {each[:HALF] for each in ids})
    visible = visible_owners(caller, "jobs:read")
    seen = [job for job in known.values() if visible is None or job.owner in visible]
    found = {each.id: each for each in _of_all(tx, seen)}
    return [found[each] for each in ids if each in found]


def _of_all(tx: Transaction, seen: Sequence[Job]) -> list[AttachedRepository]:
    """What these jobs check out; each owner's keys are looked up once."""
    urls: dict[str, list[str]] = {}
    for job in seen:
        urls.setdefault(job.owner, []).extend(each.url for each in job.spec.repositories)
    keys = {owner: _opened_by_key(tx, owner, of) for owner, of in urls.items()}
    return [
        AttachedRepository(job, each, each.url in keys[job.owner])
        for job in seen
        for each in job.spec.repositories
    ]


def _of(tx: Transaction, job: Job) -> list[AttachedRepository]:
    return _of_all(tx, [job])


def _opened_by_key(tx: Transaction, owner: str, urls: Sequence[str]) -> set[str]:
    openers = git_access.openers(tx, owner, list(dict.fromkeys(urls)))
    return {url for url, info in openers.items() if info.kind == "ssh_key"}


def get(
    tx: Transaction, caller: Caller, which: str, action: str = "jobs:read"
) -> AttachedRepository:
    """One of them, if the caller may do `action` on its job."""
    try:
        job = jobs.get(tx, caller, which[:HALF], action)
    except NotFound:
        raise _missing(which) from None
    for each in _of(tx, job):
        if each.id == which:
            return each
    raise _missing(which)


def _missing(which: str) -> NotFound:
    return NotFound(f"there is no repository attachment {which} here")


def attach(
    tx: Transaction, caller: Caller, job_id: str, given: Mapping[str, Any], now: datetime
) -> AttachedRepository:
    """Have the job check out one more repository, as a recipe would say it. Invalid if its folder
    is taken."""
    job = _edit(tx, caller, job_id, now, lambda known: [*known, dict(given)])
    return _of(tx, job)[-1]


def change(
    tx: Transaction, caller: Caller, which: str, given: Mapping[str, Any], now: datetime
) -> AttachedRepository:
    """Another folder or reference; None takes a field away."""
    index, job_id = _index(tx, caller, which)

    def edit(known: Given) -> Given:
        values = {**known[index], **given}
        kept = {name: value for name, value in values.items() if value is not None}
        return [*known[:index], kept, *known[index + 1 :]]

    return _of(tx, _edit(tx, caller, job_id, now, edit))[index]


def detach(tx: Transaction, caller: Caller, which: str, now: datetime) -> None:
    """Have the job check it out no longer. NotFound if repeated."""
    index, job_id = _index(tx, caller, which)
    _edit(tx, caller, job_id, now, lambda known: [*known[:index], *known[index + 1 :]])


def _index(tx: Transaction, caller: Caller, which: str) -> tuple[int, str]:
    job = get(tx, caller, which, "jobs:write").job
    return [each.id for each in _of(tx, job)].index(which), job.id


def _edit(
    tx: Transaction, caller: Caller, job_id: str, now: datetime, edit: Callable[[Given], Given]
) -> Job:
    job = jobs.get(tx, caller, job_id, "jobs:write")
    values = job.spec.recipe_spec()
    values["git_repositories"] = edit(values.get("git_repositories") or [])
    if not values["git_repositories"]:
        del values["git_repositories"]
    return jobs.change(tx, caller, job.id, jobs.parse_spec(values), now)
