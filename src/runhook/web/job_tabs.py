"""The tabs of a job that are pages of their own: its secrets, and what manages it."""

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from runhook.errors import Conflict, Forbidden, Invalid, NotFound
from runhook.model.secret import NewAttachment
from runhook.services import attachments, jobs, secrets
from runhook.services.validation import field_errors
from runhook.store.database import Transaction
from runhook.web.ask import Ask, go

JOB = "/dash/resources/job/{job_id}"
MOST_SHOWN = 1000
NEW = "new"
FIELDS = ("location", "attachment_type", "description", "secret_id", "name")


async def secrets_tab(ask: Ask) -> Response:
    return await _secrets(ask)


async def _secrets(
    ask: Ask, status: int = 200, wrong: dict[str, str] | None = None, **typed: str
) -> Response:
    """What is attached, and, for those who may attach more, a form with the secrets to choose."""

    def work(tx: Transaction) -> dict[str, Any]:
        job = jobs.get(tx, ask.caller, ask.path("job_id"))
        return {
            "job": job,
            "attached": attachments.list_attached(tx, ask.caller, job.id),
            "known": secrets.list_page(tx, ask.caller, size=MOST_SHOWN),
        }

    values = await ask.read(work)
    return ask.page("job_secrets.html", status, wrong=wrong or {}, typed=typed, **values)


async def attach(ask: Ask) -> Response:
    """Attach a secret that is there, or a new one that is made for the job's owner."""
    form, job_id, keys = await ask.form(), ask.path("job_id"), ask.server.keys
    typed = {name: str(form.get(name) or "").strip() for name in FIELDS}
    value = str(form.get("value") or "").replace("\r\n", "\n")
    job = await ask.read(lambda tx: jobs.get(tx, ask.caller, job_id, "jobs:write"))
    given: dict[str, Any] = {name: typed[name] for name in FIELDS[:3] if typed[name]}
    if typed["secret_id"] in ("", NEW):
        given["secret"] = {"name": typed["name"], "value": value, "owner": job.owner}
    else:
        given["secret_id"] = typed["secret_id"]
    try:
        new = NewAttachment.model_validate(given)
        await ask.write(lambda tx: attachments.attach(tx, keys, ask.caller, job_id, new, ask.now))
    except ValidationError as error:
        wrong = field_errors(error, NewAttachment)
        return await _secrets(ask, 422, wrong, **typed)
    except (Invalid, Conflict) as error:
        details = error.details or {"secret": error.message}
        return await _secrets(ask, error.status, details, **typed)
    except (NotFound, Forbidden) as error:
        return await _secrets(ask, error.status, {"secret_id": error.message}, **typed)
    return go(f"{JOB}/secrets".format(job_id=job_id))


async def detach(ask: Ask) -> Response:
    job_id, which = ask.path("job_id"), ask.path("secret_attachment_id")
    await ask.write(lambda tx: attachments.detach(tx, ask.caller, job_id, which, ask.now))
    return go(f"{JOB}/secrets".format(job_id=job_id))


async def manage_tab(ask: Ask) -> Response:
    """The recipe, a copy, the versions, the end."""

    def work(tx: Transaction) -> dict[str, Any]:
        job = jobs.get(tx, ask.caller, ask.path("job_id"))
        return {"job": job, "versions": jobs.versions(tx, ask.caller, job.id)}

    return ask.page("job_manage.html", **await ask.read(work))


PAGES = (
    ("GET", f"{JOB}/secrets", "jobs:read", secrets_tab),
    ("POST", f"{JOB}/secrets", "jobs:write", attach),
    ("POST", f"{JOB}/secrets/{{secret_attachment_id}}/detach", "jobs:write", detach),
    ("GET", f"{JOB}/manage", "jobs:read", manage_tab),
)
