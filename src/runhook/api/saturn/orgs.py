"""Handlers of the organisation, its owners, its members and one's preferences, and their rows of
the table."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from starlette.responses import Response

from runhook.api.call import DESCENDING, PAGING, Call, Json, Page, Query, Route
from runhook.api.jobs import edge
from runhook.api.saturn.people_shapes import (
    no_limits_json,
    org_json,
    owner_view_json,
    usable_owner_json,
)
from runhook.errors import Invalid, NotFound
from runhook.model.people import Owner
from runhook.services import members, organization, people
from runhook.services.organization import Organization, OwnerView
from runhook.store.database import Transaction

T = TypeVar("T")


def _org(tx: Transaction, call: Call) -> Organization:
    """The organisation, if the path names no other."""
    asked = call.request.path_params.get("org_id")
    return organization.get(tx, call.caller, call.server.organization, asked)


async def list_orgs(call: Call) -> Response:
    org = await call.read(lambda tx: _org(tx, call))
    shown = [org_json(org)] if (call.query("name") or "") in org.name else []
    return Json({"orgs": shown, "prev_key": None, "next_key": None})


async def get(call: Call) -> Response:
    return Json(org_json(await call.read(lambda tx: _org(tx, call))))


async def limits(call: Call) -> Response:
    """There are none: what runs may take is said by each job and by the server's settings."""
    return Json(no_limits_json(await call.read(lambda tx: _org(tx, call))))


async def list_owners(call: Call) -> Response:
    """The owners that the caller may use; to an administrator, all there are."""
    page, kind = Page.of(call), call.query("identity_type")
    name, descending = call.query("name") or "", call.flag("descending")
    if kind not in (None, "user", "group"):
        raise Invalid("cannot list owners", details={"identity_type": "write user or group"})

    def work(tx: Transaction) -> dict[str, Any]:
        org = _org(tx, call)
        found = [
            each
            for each in organization.owners(tx, call.caller)
            if kind in (None, each.owner.kind) and name in each.owner.name
        ]
        answer = page_of(page, "owners", found, lambda each: each.owner.name, descending)
        shown = [owner_view_json(call.server, org, each) for each in answer["owners"]]
        return {**answer, "owners": shown}

    return Json(await call.read(work))


def page_of(
    page: Page, name: str, rows: Sequence[T], key: Callable[[T], str], descending: bool = False
) -> dict[str, Any]:
    """A page of a list that is all there already, by the unique `key` of its rows."""
    after, before = edge(page.after), edge(page.before)
    ordered = sorted(rows, key=key, reverse=descending)
    if before:
        kept = [each for each in ordered if (key(each) > before[0]) is descending]
        kept = [each for each in kept if key(each) != before[0]][-page.size - 1 :]
    elif after:
        kept = [each for each in ordered if (key(each) < after[0]) is descending]
        kept = [each for each in kept if key(each) != after[0]][: page.size + 1]
    else:
        kept = ordered[: page.size + 1]
    return page.answer(name, kept, lambda each: [key(each), ""])


async def get_member(call: Call) -> Response:
    def work(tx: Transaction) -> dict[str, Any]:
        org = _org(tx, call)
        view = organization.member(tx, call.caller, call.path("user_id"))
        return owner_view_json(call.server, org, view)

    return Json(await call.read(work))


async def add_member(call: Call) -> Response:
    """Everybody with an account is a member already: this says so, or that there is no account."""

    def who(tx: Transaction) -> Organization:
        org = _org(tx, call)
        people.require_listing(call.caller)
        return org

    org = await call.read(who)
    user_id = (await call.object()).get("user_id")
    if not isinstance(user_id, str):
        raise Invalid("cannot add a member", details={"user_id": "name an account by its id"})
    view = await call.read(lambda tx: organization.member(tx, call.caller, user_id))
    return Json(owner_view_json(call.server, org, view), status_code=201)


async def preferences(call: Call) -> Response:
    return Json(await call.read(lambda tx: _preferences(tx, call)))


def _preferences(tx: Transaction, call: Call) -> dict[str, Any]:
    org = organization.get(tx, call.caller, call.server.organization)
    me = organization.member(tx, call.caller, call.caller.user_id)
    return {
        "default_org_id": org.id,
        "default_owner": owner_view_json(call.server, org, me),
    }


async def prefer(call: Call) -> Response:
    """The one organisation may be preferred, which changes nothing."""
    return await _prefer(call)


async def prefer_as_before(call: Call) -> Response:
    """The same, as an older client says it."""
    return await _prefer(call)


async def _prefer(call: Call) -> Response:
    body = await call.object()
    known = await call.read(lambda tx: _preferences(tx, call))
    if body.get("default_org_id") != known["default_org_id"]:
        sentence = f"there is one organisation, {call.server.organization}: write its id"
        raise Invalid("cannot prefer this", details={"default_org_id": sentence})
    if body.get("user_id") not in (None, call.caller.user_id):
        raise NotFound("preferences are one's own", hint="Leave user_id out.")
    return Json(known)


async def own_owners(call: Call) -> Response:
    def work(tx: Transaction) -> list[dict[str, Any]]:
        me = organization.member(tx, call.caller, call.caller.user_id)
        return _usable(tx, call, me, members.owners(tx, call.caller))

    return Json({"owners": await call.read(work), "next_key": None, "prev_key": None})


async def owners_of(call: Call) -> Response:
    """The owners that a person may use, for administrators."""

    def work(tx: Transaction) -> list[dict[str, Any]]:
        user = people.get(tx, call.caller, call.path("user_id"))
        view = organization.of_person(tx, user)
        return _usable(tx, call, view, members.owners_of(tx, user))

    return Json({"owners": await call.read(work), "next_key": None, "prev_key": None})


def _usable(
    tx: Transaction, call: Call, person: OwnerView, found: Sequence[Owner]
) -> list[dict[str, Any]]:
    org = organization.get(tx, call.caller, call.server.organization)
    return [usable_owner_json(call.server, org, each, person) for each in found]


ORG = "/api/orgs/{org_id}"
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/orgs",
        "user:read",
        list_orgs,
        "The organisation of this server.",
        queries=(Query("name", "Part of the name."),),
    ),
    Route("GET", ORG, "user:read", get, "The organisation."),
    Route("GET", f"{ORG}/limits", "user:read", limits, "Its usage limits: none."),
    Route(
        "GET",
        f"{ORG}/owners",
        "user:read",
        list_owners,
        "Owners that you may use; for administrators all.",
        queries=(
            Query("name", "Part of the name."),
            Query("identity_type", "user or group."),
            *PAGING,
            DESCENDING,
        ),
    ),
    Route(
        "POST",
        f"{ORG}/members",
        "users:read",
        add_member,
        "Everybody with an account is a member: says so.",
        body="OrgMember",
        status=201,
    ),
    Route("GET", f"{ORG}/members/{{user_id}}", "user:read", get_member, "Yourself, as a member."),
    Route("GET", "/api/user/preferences", "user:read", preferences, "Your organisation."),
    *(
        Route(
            method,
            "/api/user/preferences",
            "user:read",
            handler,
            "Prefer the organisation that there is.",
            body="Preferences",
        )
        for method, handler in (("PATCH", prefer), ("POST", prefer_as_before))
    ),
    Route("GET", "/api/user/owners", "user:read", own_owners, "Owners you can use; your role."),
    Route(
        "GET",
        "/api/users/{user_id}/owners",
        "users:read",
        owners_of,
        "Owners that somebody can use; their role.",
    ),
)
