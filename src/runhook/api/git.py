"""Handlers of /api/git, and their rows of the table."""

import asyncio
from typing import Any

from starlette.responses import Response

from runhook.api.call import Call, Json, Route
from runhook.api.shapes import instant
from runhook.errors import Invalid
from runhook.model.git_access import GitCredentialInfo, KnownHost, NewCredential
from runhook.services import git_access


async def list_credentials(call: Call) -> Response:
    found = await call.read(lambda tx: git_access.list_credentials(tx, call.caller))
    return Json({"credentials": [_credential_json(info) for info in found]})


async def add_credential(call: Call) -> Response:
    """The answer holds the public half of an ssh key, and never what is secret."""
    given = await call.body(NewCredential)
    keys, caller = call.server.keys, call.caller
    new = await asyncio.to_thread(git_access.seal_credential, keys, caller, given, call.now)
    info = await call.write(lambda tx: git_access.add_credential(tx, caller, new))
    return Json(_credential_json(info), status_code=201)


async def delete_credential(call: Call) -> Response:
    credential_id = call.path("credential_id")
    await call.write(
        lambda tx: git_access.delete_credential(tx, call.caller, credential_id, call.now)
    )
    return Response(status_code=204)


async def list_hosts(call: Call) -> Response:
    found = await call.read(lambda tx: git_access.list_hosts(tx, call.caller))
    return Json({"hosts": [_host_json(host) for host in found]})


async def add_host(call: Call) -> Response:
    line = (await call.object()).get("line")
    if not isinstance(line, str):
        raise Invalid("cannot use this host key", details={"line": "give a known_hosts line"})
    host = await call.write(lambda tx: git_access.add_host(tx, call.caller, line, call.now))
    return Json(_host_json(host), status_code=201)


async def confirm_host(call: Call) -> Response:
    host_id = call.path("host_id")
    host = await call.write(lambda tx: git_access.confirm_host(tx, call.caller, host_id, call.now))
    return Json(_host_json(host))


async def delete_host(call: Call) -> Response:
    host_id = call.path("host_id")
    await call.write(lambda tx: git_access.delete_host(tx, call.caller, host_id, call.now))
    return Response(status_code=204)


def _credential_json(info: GitCredentialInfo) -> dict[str, Any]:
    return {**vars(info), "created_at": instant(info.created_at)}


def _host_json(host: KnownHost) -> dict[str, Any]:
    times = {
        "first_seen_at": instant(host.first_seen_at),
        "confirmed_at": instant(host.confirmed_at),
    }
    return {**vars(host), **times, "type": host.type}


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/git/credentials",
        "git:read",
        list_credentials,
        "Git credentials, without their secrets.",
    ),
    Route(
        "POST",
        "/api/git/credentials",
        "git:write",
        add_credential,
        "Add a token or ssh key; a key without a value is generated.",
        body="GitCredential",
        status=201,
    ),
    Route(
        "DELETE",
        "/api/git/credentials/{credential_id}",
        "git:write",
        delete_credential,
        "Forget one.",
        status=204,
    ),
    Route(
        "GET",
        "/api/git/hosts",
        "git:read",
        list_hosts,
        "Keys that ssh hosts showed, confirmed or not.",
    ),
    Route(
        "POST",
        "/api/git/hosts",
        "hosts:write",
        add_host,
        "Believe a host key.",
        body="HostKey",
        status=201,
    ),
    Route(
        "POST",
        "/api/git/hosts/{host_id}/confirm",
        "hosts:write",
        confirm_host,
        "Believe a key that was shown.",
    ),
    Route(
        "DELETE",
        "/api/git/hosts/{host_id}",
        "hosts:write",
        delete_host,
        "Believe it no longer.",
        status=204,
    ),
)
