"""Repositories attached to jobs, one by one: the compatible way to change `spec.git_repositories`,
which is where they stand."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runhook.errors import NotFound
from runhook.model.access import Caller
from runhook.model.job import Job
from runhook.model.source import Repository
from runhook.services import git_access, jobs
from runhook.services.access import visible_owners
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
        folder = self.repository.folder
        return self.job.id + uuid.uuid5(uuid.NAMESPACE_URL, f"folder/{folder}").hex


def list_attached(tx: Transaction, caller: Caller, job_id: str) -> list[AttachedRepository]:
    """What the job checks out, in the order of its definition."""
    return _of(tx, jobs.get(tx, caller, job_id))


def list_all(tx: Transaction, caller: Caller) -> list[AttachedRepository]:
    """What all jobs that the caller sees check out."""
    ids = dict.fromkeys(
        use.job_id for use in repositories.uses(tx, visible_owners(caller, "jobs:read"))
    )
    return [each for job_id in ids for each in list_attached(tx, caller, job_id)]


def _of(tx: Transaction, job: Job) -> list[AttachedRepository]:
    openers = git_access.openers(tx, job.owner, [each.url for each in job.spec.repositories])
    keys = {url for url, info in openers.items() if info.kind == "ssh_key"}
    return [AttachedRepository(job, each, each.url in keys) for each in job.spec.repositories]


def get(
    tx: Transaction, caller: Caller, attachment_id: str, action: str = "jobs:read"
) -> AttachedRepository:
    """One of them, if the caller may do `action` on its job."""
    try:
        job = jobs.get(tx, caller, attachment_id[:HALF], action)
    except NotFound:
        raise _missing(attachment_id) from None
    for each in _of(tx, job):
        if each.id == attachment_id:
            return each
    raise _missing(attachment_id)


def _missing(attachment_id: str) -> NotFound:
    return NotFound(f"there is no repository attachment {attachment_id} here")


def attach(
    tx: Transaction, caller: Caller, job_id: str, given: Mapping[str, Any], now: datetime
) -> AttachedRepository:
    """Have the job check out one more repository, as a recipe would say it. Invalid if its folder
    is taken."""
    job = _edit(tx, caller, job_id, now, lambda known: [*known, dict(given)])
    return _of(tx, job)[-1]


def change(
    tx: Transaction, caller: Caller, attachment_id: str, given: Mapping[str, Any], now: datetime
) -> AttachedRepository:
    """Another folder or reference; None takes a field away."""
    index, job_id = _index(tx, caller, attachment_id)

    def edit(known: Given) -> Given:
        values = {**known[index], **given}
        kept = {name: value for name, value in values.items() if value is not None}
        return [*known[:index], kept, *known[index + 1 :]]

    return _of(tx, _edit(tx, caller, job_id, now, edit))[index]


def detach(tx: Transaction, caller: Caller, attachment_id: str, now: datetime) -> None:
    """Have the job check it out no longer. NotFound if repeated."""
    index, job_id = _index(tx, caller, attachment_id)
    _edit(tx, caller, job_id, now, lambda known: [*known[:index], *known[index + 1 :]])


def _index(tx: Transaction, caller: Caller, attachment_id: str) -> tuple[int, str]:
    job = get(tx, caller, attachment_id, "jobs:write").job
    return [each.id for each in _of(tx, job)].index(attachment_id), job.id


def _edit(
    tx: Transaction, caller: Caller, job_id: str, now: datetime, edit: Callable[[Given], Given]
) -> Job:
    job = jobs.get(tx, caller, job_id, "jobs:write")
    values = job.spec.recipe_spec()
    values["git_repositories"] = edit(values.get("git_repositories") or [])
    if not values["git_repositories"]:
        del values["git_repositories"]
    return jobs.change(tx, caller, job.id, jobs.parse_spec(values), now)
