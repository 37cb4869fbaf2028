"""Webhooks: their secrets, and the runs that genuine deliveries start."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runhook.errors import Invalid, Malformed, Unauthorized
from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.job import Job
from runhook.model.payload import event_of, values_for, why_ignored
from runhook.model.run import Run, Trigger
from runhook.model.signature import Delivery, delivery_id, event_header, is_genuine
from runhook.model.trigger import Webhook
from runhook.services import jobs, runs
from runhook.store import jobs as job_rows
from runhook.store.database import Transaction

LARGEST_VALUE = 64 * 1024
NO_HOOK = Webhook(webhook="none")


@dataclass(frozen=True)
class Wanted:
    """What a genuine delivery asks for: a start with these parameters, or, if `ignored` says why,
    nothing. `notes` are sentences about parameters that the payload did not fill."""

    parameters: Mapping[str, Any]
    notes: list[str]
    ignored: str | None = None


def job_of_hooks(tx: Transaction, caller: Caller, job_id: str) -> Job:
    """The job, for whoever may see the secrets of its webhooks: who could change it, too."""
    return jobs.get(tx, caller, job_id, "jobs:write")


def find(tx: Transaction, job_id: str, name: str) -> tuple[Job, Webhook] | None:
    """The webhook of that job and name, before anybody has proved anything."""
    job = job_rows.get_job(tx, job_id)
    named = [each for each in job.spec.webhooks if each.webhook == name] if job else []
    return (job, named[0]) if job and named else None


def authenticated(
    keys: Keys, job_id: str, name: str, found: tuple[Job, Webhook] | None, delivery: Delivery
) -> tuple[Job, Webhook]:
    """`found`, once the delivery has proved that it comes from somebody with the secret.

    Unauthorized otherwise, in the same words whether job, hook or proof is wrong: a stranger learns
    nothing of what there is.
    """
    hook = found[1] if found else NO_HOOK
    genuine = is_genuine(hook, keys.webhook_secret(job_id, name), delivery)
    if found is None or not genuine:
        raise Unauthorized(
            "there is no such webhook, or the signature does not fit",
            hint="Give the sender the address and the secret that `runhook webhooks JOB` prints "
            "(a token does not help here), and have it send JSON, unchanged and within five "
            "minutes of its signature.",
        )
    return found


def wanted(hook: Webhook, delivery: Delivery, payload: dict[str, Any]) -> Wanted:
    """What a genuine delivery asks for. Malformed if a forge does not say what has happened;
    Invalid if a value is too large to be a parameter."""
    event = None
    if hook.source != "generic":
        event = event_of(hook, event_header(hook, delivery), payload)
        if not event:
            raise Malformed(f"this delivery does not say its event, as {hook.source} does")
    ignored = why_ignored(hook, event, payload)
    if ignored:
        return Wanted({}, [], ignored)
    values, notes = values_for(hook, payload)
    _require_small(values)
    return Wanted(values, notes)


def start(
    tx: Transaction,
    job: Job,
    hook: Webhook,
    delivery: Delivery,
    parameters: Mapping[str, Any],
    address: str = "",
    keys: Keys | None = None,
) -> Run:
    """The run that a genuine delivery starts; of a delivery that came before, the run of then.
    `address` is where it came from."""
    name = f"webhook {hook.webhook}"
    caller = Caller(job.created_by or "", name, job.owner, via="webhook", address=address)
    sent = delivery_id(hook, delivery)
    key = f"webhook/{hook.webhook}/{sent}" if sent else None
    request = runs.StartRequest(Trigger.WEBHOOK, parameters, key)
    return runs.start(tx, caller, job.id, request, delivery.at, keys)


def _require_small(values: Mapping[str, Any]) -> None:
    large = {
        f"parameters.{name}": f"the payload's value is longer than {LARGEST_VALUE} bytes of JSON"
        for name, value in values.items()
        if len(json.dumps(value, ensure_ascii=False).encode()) > LARGEST_VALUE
    }
    if large:
        raise Invalid("cannot start with these parameters", details=large)
