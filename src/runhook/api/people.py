"""Handlers of /api/users, /api/groups and /api/user/{members,owners}, and their rows of the
table."""

from typing import Any

from starlette.responses import Response

from runhook.api.call import Call, Json, Query, Route
from runhook.api.shapes import group_json, member_json, user_json
from runhook.model.access import Member, User
from runhook.model.people import GivenRole, GroupChange, NewGroup, NewPerson, PersonChange
from runhook.services import groups, links, members, people
from runhook.store import identities
from runhook.store.database import Transaction

NO_STORE = {"Cache-Control": "no-store"}


async def list_users(call: Call) -> Response:
    name, email = call.query("username") or "", call.query("email") or ""
    found = await call.read(lambda tx: people.list_all(tx, call.caller, name, email))
    return Json({"users": [user_json(*each) for each in found], "next_key": None, "prev_key": None})


async def invite(call: Call) -> Response:
    """The account, with the one-time `link` to hand to its person."""
    new = await call.body(NewPerson)
    keys, organization = call.server.keys, call.server.organization

    def work(tx: Transaction) -> tuple[User, str]:
        return people.invite(tx, keys, call.caller, organization, new, call.now)

    user, token = await call.write(work)
    body = {**user_json(user, call.now), "link": links.url(call.server.site.url, token)}
    return Json(body, status_code=201, headers=NO_STORE)


async def get_user(call: Call) -> Response:
    return Json(await call.read(lambda tx: _user(tx, call)))


async def change_user(call: Call) -> Response:
    await get_user(call)
    wanted, who = await call.body(PersonChange), call.path("user_id")

    def work(tx: Transaction) -> dict[str, Any]:
        people.change(tx, call.caller, who, wanted, call.now)
        return _user(tx, call)

    return Json(await call.write(work))


def _user(tx: Transaction, call: Call) -> dict[str, Any]:
    user = people.get(tx, call.caller, call.path("user_id"))
    return user_json(user, identities.created_at(tx, user.id))


async def delete_user(call: Call) -> Response:
    who = call.path("user_id")
    await call.write(lambda tx: people.delete(tx, call.caller, who, call.now))
    return Response(status_code=204)


async def reset_link(call: Call) -> Response:
    who = call.path("user_id")
    _, token = await call.write(lambda tx: people.reset(tx, call.caller, who, call.now))
    url = links.url(call.server.site.url, token)
    return Json({"url": url}, status_code=201, headers=NO_STORE)


async def list_groups(call: Call) -> Response:
    name = call.query("name") or ""
    found = await call.read(lambda tx: groups.list_all(tx, call.caller, name))
    shown = [group_json(each) for each in found]
    return Json({"groups": shown, "next_key": None, "prev_key": None})


async def create_group(call: Call) -> Response:
    new, organization = await call.body(NewGroup), call.server.organization
    group = await call.write(lambda tx: groups.create(tx, call.caller, organization, new, call.now))
    return Json(group_json(group), status_code=201)


async def get_group(call: Call) -> Response:
    which = call.path("group_id")
    return Json(group_json(await call.read(lambda tx: groups.get(tx, call.caller, which))))


async def change_group(call: Call) -> Response:
    await get_group(call)
    wanted, which = await call.body(GroupChange), call.path("group_id")
    group = await call.write(lambda tx: groups.change(tx, call.caller, which, wanted, call.now))
    return Json(group_json(group))


async def delete_group(call: Call) -> Response:
    which = call.path("group_id")
    await call.write(lambda tx: groups.delete(tx, call.caller, which, call.now))
    return Response(status_code=204)


async def list_members(call: Call) -> Response:
    def work(tx: Transaction) -> list[Member]:
        return list(members.list_all(tx, call.caller, _owner(tx, call)))

    found = await call.read(work)
    shown = [{"id": each.user_id, "username": each.name, "avatar_url": ""} for each in found]
    return Json({"members": [member_json(each) for each in found], "users": shown})


async def put_member(call: Call) -> Response:
    """The person by id or name, with the role in the body."""
    who, body = call.path("user_id"), await call.object()

    def work(tx: Transaction) -> Member:
        owner = _owner(tx, call, "members:write")
        members.find(tx, call.caller, owner, who)
        role = call.fitted(GivenRole, body).role
        return members.put(tx, call.caller, owner, who, role, call.now)

    return Json(member_json(await call.write(work)))


async def remove_member(call: Call) -> Response:
    who = call.path("user_id")

    def work(tx: Transaction) -> None:
        owner = _owner(tx, call, "members:write")
        members.remove(tx, call.caller, owner, who, call.now)

    await call.write(work)
    return Response(status_code=204)


def _owner(tx: Transaction, call: Call, action: str = "members:read") -> str:
    """The group of the path, or the caller, whose things they share."""
    which = call.request.path_params.get("group_id")
    return groups.get(tx, call.caller, which, action).owner if which else call.caller.owner


async def own_members(call: Call) -> Response:
    return await list_members(call)


async def put_own_member(call: Call) -> Response:
    return await put_member(call)


async def remove_own_member(call: Call) -> Response:
    return await remove_member(call)


_USER, _GROUP = "/api/users/{user_id}", "/api/groups/{group_id}"
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/users",
        "users:read",
        list_users,
        "Accounts, by name.",
        queries=(Query("username", "Part of the name."), Query("email", "Part of the address.")),
    ),
    Route(
        "POST",
        "/api/users",
        "users:write",
        invite,
        "Create an account; the answer holds a one-time link for its person.",
        body="NewPerson",
        status=201,
    ),
    Route("GET", _USER, "users:read", get_user, "An account, by id or name."),
    Route(
        "PATCH",
        _USER,
        "users:write",
        change_user,
        "Change, disable or enable an account.",
        body="PersonChange",
    ),
    Route("DELETE", _USER, "users:write", delete_user, "Remove an account.", status=204),
    Route(
        "POST",
        f"{_USER}/reset-link",
        "users:write",
        reset_link,
        "A one-time link that sets a new password.",
        status=201,
    ),
    Route(
        "GET",
        "/api/groups",
        "members:read",
        list_groups,
        "Groups that you belong to.",
        queries=(Query("name", "Part of the name."),),
    ),
    Route(
        "POST",
        "/api/groups",
        "users:write",
        create_group,
        "Create a group; you become its admin.",
        body="NewGroup",
        status=201,
    ),
    Route("GET", _GROUP, "members:read", get_group, "A group, by id or name."),
    Route("PATCH", _GROUP, "members:write", change_group, "Describe a group.", body="GroupChange"),
    Route("DELETE", _GROUP, "members:write", delete_group, "Remove a group.", status=204),
    Route("GET", f"{_GROUP}/members", "members:read", list_members, "Members and their roles."),
    Route(
        "PUT",
        f"{_GROUP}/members/{{user_id}}",
        "members:write",
        put_member,
        "Give somebody (id or name) a role in a group.",
        body="GivenRole",
    ),
    Route(
        "DELETE",
        f"{_GROUP}/members/{{user_id}}",
        "members:write",
        remove_member,
        "Take a role in a group back.",
        status=204,
    ),
    Route("GET", "/api/user/members", "members:read", own_members, "Who may use your own things."),
    Route(
        "PUT",
        "/api/user/members/{user_id}",
        "members:write",
        put_own_member,
        "Give somebody (id or name) a role on your own things.",
        body="GivenRole",
    ),
    Route(
        "DELETE",
        "/api/user/members/{user_id}",
        "members:write",
        remove_own_member,
        "Take it back.",
        status=204,
    ),
)
