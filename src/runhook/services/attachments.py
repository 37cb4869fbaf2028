"""Secrets attached to jobs, one by one: the compatible way to change `spec.secrets`, which is where
they stand."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runhook.errors import NotFound
from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.job import Job
from runhook.model.secret import (
    AttachmentChange,
    NewAttachment,
    NewSecret,
    SecretAttachment,
    SecretInfo,
)
from runhook.services import jobs, secrets
from runhook.store.database import Transaction

Given = list[dict[str, Any]]


@dataclass(frozen=True)
class Attached:
    """An attachment of a job. `secret` is None where it is gone, or not for the caller to see."""

    id: str
    job: Job
    attachment: SecretAttachment
    secret: SecretInfo | None


def list_attached(tx: Transaction, caller: Caller, job_id: str) -> list[Attached]:
    """What the job has attached, in the order of its definition."""
    job = jobs.get(tx, caller, job_id)
    return [
        Attached(_id_of(job.id, each.place), job, each, info)
        for each, info in secrets.attached(tx, caller, job)
    ]


def get(tx: Transaction, caller: Caller, job_id: str, attachment_id: str) -> Attached:
    """One of them; NotFound if there is none of that id."""
    for each in list_attached(tx, caller, job_id):
        if each.id == attachment_id:
            return each
    raise NotFound(f"there is no secret attachment {attachment_id} of job {job_id} here")


def attach(
    tx: Transaction,
    keys: Keys,
    caller: Caller,
    job_id: str,
    new: NewAttachment,
    now: datetime,
) -> Attached:
    """Attach a secret, also one that is made with it. Invalid if the place is taken."""
    jobs.get(tx, caller, job_id, "jobs:write")
    info = _secret(tx, keys, caller, new.secret_id, new.secret, now)
    given = {
        "location": new.location,
        "attachment_type": new.attachment_type,
        "description": new.description,
        **_named(info),
    }
    job = _edit(tx, caller, job_id, now, lambda known: [*known, given])
    return list_attached(tx, caller, job.id)[-1]


def change(
    tx: Transaction,
    keys: Keys,
    caller: Caller,
    job_id: str,
    attachment_id: str,
    wanted: AttachmentChange,
    now: datetime,
) -> Attached:
    """Another place, description or secret; its id changes with its place."""
    jobs.get(tx, caller, job_id, "jobs:write")
    index = _index(tx, caller, job_id, attachment_id)
    names = ("location", "attachment_type", "description")
    given = {n: value for n in names if (value := getattr(wanted, n)) is not None}
    if wanted.secret_id is not None or wanted.secret is not None:
        given |= _named(_secret(tx, keys, caller, wanted.secret_id, wanted.secret, now))

    def edit(known: Given) -> Given:
        before = known[index]
        if "attachment_type" in given:
            before = {name: value for name, value in before.items() if name != "type"}
        return [*known[:index], {**before, **given}, *known[index + 1 :]]

    job = _edit(tx, caller, job_id, now, edit)
    return list_attached(tx, caller, job.id)[index]


def detach(tx: Transaction, caller: Caller, job_id: str, attachment_id: str, now: datetime) -> None:
    """Take it away from the job; the secret stays. NotFound if repeated."""
    jobs.get(tx, caller, job_id, "jobs:write")
    index = _index(tx, caller, job_id, attachment_id)
    _edit(tx, caller, job_id, now, lambda known: [*known[:index], *known[index + 1 :]])


def _secret(
    tx: Transaction,
    keys: Keys,
    caller: Caller,
    secret_id: str | None,
    new: NewSecret | None,
    now: datetime,
) -> SecretInfo:
    if new is not None:
        return secrets.add(tx, keys, caller, new, now)
    return secrets.get(tx, caller, secret_id or "")


def _named(info: SecretInfo) -> dict[str, Any]:
    return {"owner": info.owner, "name": info.name}


def _index(tx: Transaction, caller: Caller, job_id: str, attachment_id: str) -> int:
    get(tx, caller, job_id, attachment_id)
    ids = [each.id for each in list_attached(tx, caller, job_id)]
    return ids.index(attachment_id)


def _edit(
    tx: Transaction, caller: Caller, job_id: str, now: datetime, edit: Callable[[Given], Given]
) -> Job:
    job = jobs.get(tx, caller, job_id, "jobs:write")
    values = job.spec.recipe_spec()
    values["secrets"] = edit(values.get("secrets") or [])
    if not values["secrets"]:
        del values["secrets"]
    return jobs.change(tx, caller, job.id, jobs.parse_spec(values), now)


def _id_of(job_id: str, place: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"secret/{job_id}/{place}").hex
