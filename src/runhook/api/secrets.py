"""Handlers of /api/secrets and of the secrets of jobs, and their rows of the table. No answer holds
a value."""

from typing import Any

from starlette.responses import Response

from runhook.api import owners
from runhook.api.call import DESCENDING, PAGING, Call, Json, Page, Query, Route
from runhook.api.shapes import instant, owner_json, stamp
from runhook.errors import Invalid
from runhook.model.secret import (
    AttachmentChange,
    NewAttachment,
    NewSecret,
    SecretChange,
    SecretInfo,
)
from runhook.services import attachments, jobs, secrets
from runhook.services.attachments import Attached
from runhook.store.database import Transaction

FORCE = Query("force", "Although jobs have it attached: their next runs fail.", "boolean")


async def list_secrets(call: Call) -> Response:
    page = Page.of(call)
    access, descending = call.query("access"), call.flag("descending")
    if access not in (None, "owner", "org"):
        raise Invalid("cannot read access", details={"access": "write owner or org"})

    def work(tx: Transaction) -> list[SecretInfo]:
        return secrets.list_page(
            tx,
            call.caller,
            size=page.size + 1,
            name=call.query("name") or "",
            owner=owners.asked(tx, call, "secrets:read"),
            access=access,
            after=_edge(page.after),
            before=_edge(page.before),
            descending=descending,
        )

    found = await call.read(work)
    answer = page.answer("secrets", found, lambda info: [info.name, info.id])
    return Json({**answer, "secrets": [_secret_json(call, each) for each in answer["secrets"]]})


def _edge(key: list[Any] | None) -> tuple[str, str] | None:
    if key is None:
        return None
    if not isinstance(key[0], str):
        raise Invalid("cannot read the key of this page")
    return key[0], key[1]


async def add_secret(call: Call) -> Response:
    new = call.fitted(NewSecret, await _named(call, await call.object()))
    keys = call.server.keys
    info = await call.write(lambda tx: secrets.add(tx, keys, call.caller, new, call.now))
    answer = {**_secret_json(call, info), "warnings": secrets.notices(new.value)}
    return Json(answer, status_code=201)


async def _named(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """The body with the owner of the new secret by name."""
    return await call.read(lambda tx: owners.with_owner(tx, call, body))


async def _new_named(call: Call) -> dict[str, Any]:
    """The body of an attachment, with the owner of a secret that is made with it by name."""
    body = await call.object()
    new = body.get("secret")
    return {**body, "secret": await _named(call, new)} if isinstance(new, dict) else body


async def get_secret(call: Call) -> Response:
    info = await call.read(lambda tx: secrets.get(tx, call.caller, call.path("secret_id")))
    return Json(_secret_json(call, info))


async def change_secret(call: Call) -> Response:
    wanted, force = await call.body(SecretChange), call.flag("force")
    keys, secret_id = call.server.keys, call.path("secret_id")
    info = await call.write(
        lambda tx: secrets.change(tx, keys, call.caller, secret_id, wanted, call.now, force=force)
    )
    return Json({**_secret_json(call, info), "warnings": secrets.notices(wanted.value)})


async def delete_secret(call: Call) -> Response:
    secret_id, force = call.path("secret_id"), call.flag("force")
    await call.write(lambda tx: secrets.delete(tx, call.caller, secret_id, call.now, force=force))
    return Response(status_code=204)


async def list_attached(call: Call) -> Response:
    found = await call.read(
        lambda tx: attachments.list_attached(tx, call.caller, call.path("job_id"))
    )
    shown = [_attachment_json(call, each) for each in found]
    for name in ("location", "attachment_type"):
        if wanted := call.query(name):
            shown = [each for each in shown if each[name] == wanted]
    return Json({"secret_attachments": shown, "prev_key": None, "next_key": None})


async def attach(call: Call) -> Response:
    keys, job_id = call.server.keys, call.path("job_id")
    await call.read(lambda tx: jobs.get(tx, call.caller, job_id, "jobs:write"))
    new = call.fitted(NewAttachment, await _new_named(call))
    made = await call.write(
        lambda tx: attachments.attach(tx, keys, call.caller, job_id, new, call.now)
    )
    return Json(_attachment_json(call, made), status_code=201)


async def get_attached(call: Call) -> Response:
    job_id, attachment_id = call.path("job_id"), call.path("secret_attachment_id")
    found = await call.read(lambda tx: attachments.get(tx, call.caller, job_id, attachment_id))
    return Json(_attachment_json(call, found))


async def change_attached(call: Call) -> Response:
    wanted = call.fitted(AttachmentChange, await _new_named(call))
    keys, job_id = call.server.keys, call.path("job_id")
    attachment_id = call.path("secret_attachment_id")
    changed = await call.write(
        lambda tx: attachments.change(
            tx, keys, call.caller, job_id, attachment_id, wanted, call.now
        )
    )
    return Json(_attachment_json(call, changed))


async def detach(call: Call) -> Response:
    job_id, attachment_id = call.path("job_id"), call.path("secret_attachment_id")
    await call.write(
        lambda tx: attachments.detach(tx, call.caller, job_id, attachment_id, call.now)
    )
    return Response(status_code=204)


def _secret_json(call: Call, info: SecretInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "name": info.name,
        "owner": owner_json(call.server, info.owner, info.created_at),
        "created_at": stamp(info.created_at),
        "updated_at": instant(info.updated_at),
        "access": info.access,
        "editable": secrets.may_write(call.caller, info),
    }


def _attachment_json(call: Call, each: Attached) -> dict[str, Any]:
    """`created_at` is the job's: attachments have no time of their own."""
    return {
        "id": each.id,
        "created_at": stamp(each.job.created_at),
        "attachment_type": each.attachment.kind,
        "location": each.attachment.location,
        "description": each.attachment.description,
        "secret": _secret_json(call, each.secret) if each.secret else None,
    }


JOB_SECRETS = "/api/jobs/{job_id}/secrets"
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/secrets",
        "secrets:read",
        list_secrets,
        "Secrets by name, without their values.",
        answer="SecretList",
        queries=(
            Query("name", "Part of the name."),
            Query("access", "owner, or org for those of the whole organisation."),
            *owners.QUERIES,
            *PAGING,
            DESCENDING,
        ),
    ),
    Route(
        "POST",
        "/api/secrets",
        "secrets:write",
        add_secret,
        "Keep a secret; its value is never given back.",
        body="SecretCreate",
        answer="Secret",
        status=201,
    ),
    Route(
        "GET",
        "/api/secrets/{secret_id}",
        "secrets:read",
        get_secret,
        "A secret, without its value.",
        answer="Secret",
    ),
    Route(
        "PATCH",
        "/api/secrets/{secret_id}",
        "secrets:write",
        change_secret,
        "Give a secret another value, name or access.",
        body="SecretUpdate",
        answer="Secret",
        queries=(FORCE,),
    ),
    Route(
        "DELETE",
        "/api/secrets/{secret_id}",
        "secrets:write",
        delete_secret,
        "Forget a secret.",
        status=204,
        queries=(FORCE,),
    ),
    Route(
        "GET",
        JOB_SECRETS,
        "jobs:read",
        list_attached,
        "Secrets attached to a job.",
        answer="SecretAttachmentList",
        queries=(
            Query("location", "Exactly there."),
            Query("attachment_type", "environment_variable or file."),
        ),
    ),
    Route(
        "POST",
        JOB_SECRETS,
        "jobs:write",
        attach,
        "Attach a secret to a job.",
        body="SecretAttachmentCreate",
        answer="SecretAttachment",
        status=201,
    ),
    Route(
        "GET",
        JOB_SECRETS + "/{secret_attachment_id}",
        "jobs:read",
        get_attached,
        "A secret attached to a job.",
        answer="SecretAttachment",
    ),
    Route(
        "PATCH",
        JOB_SECRETS + "/{secret_attachment_id}",
        "jobs:write",
        change_attached,
        "Attach it elsewhere, or another secret there.",
        body="SecretAttachmentUpdate",
        answer="SecretAttachment",
    ),
    Route(
        "DELETE",
        JOB_SECRETS + "/{secret_attachment_id}",
        "jobs:write",
        detach,
        "Detach a secret; it stays.",
        status=204,
    ),
)
