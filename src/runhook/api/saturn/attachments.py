"""Handlers of repositories as things of their own and of what jobs check out, and their rows of the
table."""

from typing import Any

from starlette.responses import Response

from runhook.api import owners
from runhook.api.call import DESCENDING, PAGING, Call, Json, Page, Query, Route
from runhook.api.repository_fields import recipe_fields
from runhook.api.saturn.bodies import (
    ExternalRepoAttachmentCreate,
    ExternalRepoAttachmentUpdate,
    ExternalRepoCreate,
    ExternalRepoUpdate,
)
from runhook.api.saturn.keys import shown
from runhook.api.saturn.orgs import page_of
from runhook.api.shapes import owner_json, stamp
from runhook.errors import Conflict, Invalid
from runhook.model.source import default_folder
from runhook.services import jobs, repositories, repository_attachments
from runhook.services.access import require
from runhook.services.repositories import Repository
from runhook.services.repository_attachments import AttachedRepository
from runhook.store import people
from runhook.store.database import Transaction


def _repos_json(tx: Transaction, call: Call, *found: Repository) -> list[dict[str, Any]]:
    """`ExternalRepo`s; the key is the one that would be used, named or not."""
    known = people.owners_named(tx, {each.owner for each in found})
    return [
        {
            "id": each.id,
            "name": default_folder(each.url),
            "owner": owner_json(call.server, each.owner, each.created_at, known.get(each.owner)),
            "created_at": stamp(each.created_at),
            "remote_url": each.url,
            "ssh_privatekey_id": key["id"] if key else None,
            "ssh_privatekey": key,
        }
        for each in found
        for key in [_key_json(tx, each)]
    ]


def _key_json(tx: Transaction, each: Repository) -> dict[str, Any] | None:
    by_key = each.opener is not None and each.opener.kind == "ssh_key"
    return shown(tx, each.opener)[0] if each.opener and by_key else None


async def list_repos(call: Call) -> Response:
    page, descending = Page.of(call), call.flag("descending")
    part = call.query("remote_url") or ""

    def work(tx: Transaction) -> dict[str, Any]:
        of = owners.asked(tx, call, "git:read")
        known = repositories.list_all(tx, call.caller, of)
        found = [each for each in known if part in each.url]
        name = "external_repos"
        answer = page_of(page, name, found, lambda each: f"{each.url} {each.owner}", descending)
        return {**answer, name: _repos_json(tx, call, *answer[name])}

    return Json(await call.read(work))


async def add_repo(call: Call) -> Response:
    def prepared(tx: Transaction, body: dict[str, Any]) -> dict[str, Any]:
        named = owners.with_owner(tx, call, body)
        owner = named.get("owner") or call.caller.owner
        if isinstance(owner, str):
            require(call.caller, "git:write", owner, what=f"owner {owner}")
        return named

    body = await call.object()
    wanted = call.fitted(ExternalRepoCreate, await call.read(lambda tx: prepared(tx, body)))

    def work(tx: Transaction) -> dict[str, Any]:
        owner, key = wanted.owner or call.caller.owner, wanted.ssh_privatekey_id
        made = repositories.add(tx, call.caller, owner, wanted.remote_url, key, call.now)
        return _repos_json(tx, call, made)[0]

    return Json(await call.write(work), status_code=201)


async def get_repo(call: Call) -> Response:
    def work(tx: Transaction) -> dict[str, Any]:
        found = repositories.get(tx, call.caller, call.path("external_repo_id"))
        return _repos_json(tx, call, found)[0]

    return Json(await call.read(work))


async def change_repo(call: Call) -> Response:
    """Another key. The address stays: it is what jobs name."""
    which = call.path("external_repo_id")
    known = await call.read(lambda tx: repositories.get(tx, call.caller, which, "git:write"))
    wanted = await call.body(ExternalRepoUpdate)
    if wanted.remote_url not in (None, known.url):
        hint = "Add the other address, and attach it instead."
        raise Conflict("the address of a repository stays, since jobs name it", hint=hint)

    def work(tx: Transaction) -> dict[str, Any]:
        found = repositories.get(tx, call.caller, which, "git:write")
        if "ssh_privatekey_id" in wanted.model_fields_set:
            key = wanted.ssh_privatekey_id
            found = repositories.name_key(tx, call.caller, which, key, call.now)
        return _repos_json(tx, call, found)[0]

    return Json(await call.write(work))


async def delete_repo(call: Call) -> Response:
    which = call.path("external_repo_id")
    await call.write(lambda tx: repositories.delete(tx, call.caller, which, call.now))
    return Response(status_code=204)


def attachment_json(each: AttachedRepository) -> dict[str, Any]:
    """An `ExternalRepoAttachment`; `created_at` is the job's: attachments have no time of their
    own, and runs check everything out anew."""
    repository = each.repository
    return {
        "id": each.id,
        "has_sshkey": each.by_key,
        "path": repository.path or repository.folder,
        "created_at": stamp(each.job.created_at),
        "external_repo_id": repositories.id_of(each.job.owner, repository.url),
        "remote_url": repository.url,
        "job_id": each.job.id,
        "deployment_id": None,
        "workspace_id": None,
        "on_restart": repository.on_restart or "reclone",
        "ref": repository.reference,
        "ref_type": repository.reference_type,
    }


async def list_attachments(call: Call) -> Response:
    page, descending = Page.of(call), call.flag("descending")
    job_id = call.query("job_id")

    def work(tx: Transaction) -> dict[str, Any]:
        name = "external_repo_attachments"
        if call.query("deployment_id") or call.query("workspace_id"):
            found = []
        elif job_id:
            found = repository_attachments.list_attached(tx, call.caller, job_id)
        else:
            ids = repository_attachments.ids_of_all(tx, call.caller)
            answer = page_of(page, name, ids, str, descending)
            found = repository_attachments.list_some(tx, call.caller, answer[name])
            return {**answer, name: [attachment_json(each) for each in found]}
        answer = page_of(page, name, found, lambda each: each.id, descending)
        return {**answer, name: [attachment_json(each) for each in answer[name]]}

    return Json(await call.read(work))


async def attach(call: Call) -> Response:
    body = await call.object()
    resource = body.get("resource")
    job_id = resource.get("job_id") if isinstance(resource, dict) else None
    if not isinstance(job_id, str):
        sentence = "name a job, as {'job_id': …}; there is nothing else here"
        raise Invalid("cannot attach this", details={"resource": sentence})
    await call.read(lambda tx: jobs.get(tx, call.caller, job_id, "jobs:write"))
    wanted = call.fitted(ExternalRepoAttachmentCreate, body)

    def work(tx: Transaction) -> dict[str, Any]:
        which = wanted.external_repo_id
        url = repositories.attached_urls(tx, call.caller, [which])[which]
        given = {"url": url, **recipe_fields(wanted)}
        made = repository_attachments.attach(tx, call.caller, job_id, given, call.now)
        return attachment_json(made)

    return Json(await call.write(work), status_code=201)


async def get_attachment(call: Call) -> Response:
    which = call.path("external_repo_attachment_id")
    found = await call.read(lambda tx: repository_attachments.get(tx, call.caller, which))
    return Json(attachment_json(found))


async def change_attachment(call: Call) -> Response:
    """Its id changes with its folder."""
    which, caller, now = call.path("external_repo_attachment_id"), call.caller, call.now
    await call.read(lambda tx: repository_attachments.get(tx, caller, which, "jobs:write"))
    given = recipe_fields(await call.body(ExternalRepoAttachmentUpdate))
    changed = await call.write(
        lambda tx: repository_attachments.change(tx, caller, which, given, now)
    )
    return Json(attachment_json(changed))


async def detach(call: Call) -> Response:
    which = call.path("external_repo_attachment_id")
    await call.write(lambda tx: repository_attachments.detach(tx, call.caller, which, call.now))
    return Response(status_code=204)


REPOS, ATTACHMENTS = "/api/external_repos", "/api/external_repo_attachments"
REPO = f"{REPOS}/{{external_repo_id}}"
ATTACHMENT = f"{ATTACHMENTS}/{{external_repo_attachment_id}}"
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        REPOS,
        "git:read",
        list_repos,
        "Repositories that jobs name, or that were added.",
        queries=(
            Query("remote_url", "Part of the address."),
            *owners.QUERIES,
            *PAGING,
            DESCENDING,
        ),
    ),
    Route(
        "POST",
        REPOS,
        "git:write",
        add_repo,
        "Add a repository, perhaps with the key that opens it.",
        body="ExternalRepoCreate",
        status=201,
    ),
    Route("GET", REPO, "git:read", get_repo, "A repository."),
    Route(
        "PATCH",
        REPO,
        "git:write",
        change_repo,
        "Name another key for a repository.",
        body="ExternalRepoUpdate",
    ),
    Route("DELETE", REPO, "git:write", delete_repo, "Forget a repository.", status=204),
    Route(
        "GET",
        ATTACHMENTS,
        "jobs:read",
        list_attachments,
        "What jobs check out.",
        queries=(Query("job_id", "Of this job."), *PAGING, DESCENDING),
    ),
    Route(
        "POST",
        ATTACHMENTS,
        "jobs:write",
        attach,
        "Have a job check out one more repository.",
        body="ExternalRepoAttachmentCreate",
        status=201,
    ),
    Route("GET", ATTACHMENT, "jobs:read", get_attachment, "A repository of a job."),
    Route(
        "PATCH",
        ATTACHMENT,
        "jobs:write",
        change_attachment,
        "Check it out elsewhere, or from another branch.",
        body="ExternalRepoAttachmentUpdate",
    ),
    Route("DELETE", ATTACHMENT, "jobs:write", detach, "Check it out no longer.", status=204),
)
