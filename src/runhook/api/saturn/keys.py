"""Handlers of ssh private keys, and their rows of the table. No answer holds the private half."""

import asyncio
from typing import Any

from starlette.responses import Response

from runhook.api import owners
from runhook.api.call import DESCENDING, PAGING, Call, Json, Page, Query, Route
from runhook.api.saturn.bodies import SSHPrivateKeyCreate, SSHPrivateKeyUpdate
from runhook.api.saturn.orgs import page_of
from runhook.api.shapes import stamp
from runhook.model.git_access import ANY_SSH, GitCredentialInfo
from runhook.model.people import Owner
from runhook.services import private_keys
from runhook.services.access import require
from runhook.services.private_keys import KeyChange
from runhook.store import people
from runhook.store.database import Transaction


def key_json(info: GitCredentialInfo, owner: Owner | None) -> dict[str, Any]:
    """An `SSHPrivateKey`; `url_prefix` is ours: what it opens without being named."""
    return {
        "id": info.id,
        "name": info.name,
        "identity": {
            "id": owner.id if owner else "",
            "avatar_url": "",
            "created_at": stamp(info.created_at),
            "name": info.owner.rpartition("/")[2],
            "identity_type": owner.kind if owner else "user",
        },
        "created_at": stamp(info.created_at),
        "public_key": info.public_key,
        "location": "",
        "is_default": info.url_prefix == ANY_SSH,
        "url_prefix": info.url_prefix,
    }


def shown(tx: Transaction, *found: GitCredentialInfo) -> list[dict[str, Any]]:
    """Keys with whose they are."""
    known = people.owners_named(tx, {info.owner for info in found})
    return [key_json(info, known.get(info.owner)) for info in found]


async def list_keys(call: Call) -> Response:
    page, descending = Page.of(call), call.flag("descending")
    name, identity = call.query("name") or "", call.query("identity")
    default = call.flag("is_default") if call.query("is_default") else None

    def work(tx: Transaction) -> dict[str, Any]:
        of = owners.asked(tx, call, "git:read")
        full = owners.full_name(call, identity) if identity else None
        found = [
            info
            for info in private_keys.list_all(tx, call.caller)
            if name in info.name
            and of in (None, info.owner)
            and full in (None, info.owner)
            and default in (None, info.url_prefix == ANY_SSH)
        ]
        answer = page_of(
            page, "ssh_private_keys", found, lambda info: f"{info.name}/{info.owner}", descending
        )
        return {**answer, "ssh_private_keys": shown(tx, *answer["ssh_private_keys"])}

    return Json(await call.read(work))


async def add(call: Call) -> Response:
    body = await call.object()
    owner = await call.read(lambda tx: _owner(tx, call, body.pop("identity", None)))
    wanted = call.fitted(SSHPrivateKeyCreate, body)
    pair = await asyncio.to_thread(private_keys.pair_of, wanted.value, wanted.name)

    def work(tx: Transaction) -> dict[str, Any]:
        info = private_keys.add(
            tx,
            call.server.keys,
            call.caller,
            owner,
            wanted.name,
            pair,
            call.now,
            is_default=wanted.is_default,
        )
        return shown(tx, info)[0]

    return Json(await call.write(work), status_code=201)


def _owner(tx: Transaction, call: Call, reference: Any) -> str:
    """Whose key it is to be, if the caller may keep one there."""
    named = owners.with_owner(tx, call, {"owner": reference})["owner"]
    owner = named if isinstance(named, str) else call.caller.owner
    require(call.caller, "git:write", owner, what=f"owner {owner}")
    return owner


async def get(call: Call) -> Response:
    def work(tx: Transaction) -> dict[str, Any]:
        return shown(tx, private_keys.get(tx, call.caller, call.path("ssh_privatekey_id")))[0]

    return Json(await call.read(work))


async def change(call: Call) -> Response:
    key_id = call.path("ssh_privatekey_id")
    before = await call.read(lambda tx: private_keys.get(tx, call.caller, key_id, "git:write"))
    wanted = await call.body(SSHPrivateKeyUpdate)
    pair = None
    if wanted.value:
        pair = await asyncio.to_thread(private_keys.pair_of, wanted.value, before.name)
    changes = KeyChange(wanted.name, wanted.is_default, pair)

    def work(tx: Transaction) -> dict[str, Any]:
        keys, now = call.server.keys, call.now
        return shown(tx, private_keys.change(tx, keys, call.caller, key_id, changes, now))[0]

    return Json(await call.write(work))


async def delete(call: Call) -> Response:
    key_id = call.path("ssh_privatekey_id")
    await call.write(lambda tx: private_keys.delete(tx, call.caller, key_id, call.now))
    return Response(status_code=204)


PATH = "/api/ssh_private_keys"
ITEM = f"{PATH}/{{ssh_privatekey_id}}"
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        PATH,
        "git:read",
        list_keys,
        "Ssh keys, without their private halves.",
        queries=(
            Query("name", "Part of the name."),
            Query("identity", "Whose they are, by name."),
            Query("is_default", "Defaults only, or all others.", "boolean"),
            *owners.QUERIES,
            *PAGING,
            DESCENDING,
        ),
    ),
    Route(
        "POST",
        PATH,
        "git:write",
        add,
        "Keep an ssh key; one without a value is made.",
        body="SSHPrivateKeyCreate",
        status=201,
    ),
    Route("GET", ITEM, "git:read", get, "An ssh key, without its private half."),
    Route("PATCH", ITEM, "git:write", change, "Change an ssh key.", body="SSHPrivateKeyUpdate"),
    Route("DELETE", ITEM, "git:write", delete, "Forget an ssh key.", status=204),
)
