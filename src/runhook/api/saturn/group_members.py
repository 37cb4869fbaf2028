"""Handlers of a group's members without roles, as the compatible contract has them, and their rows
of the table. Who is added so becomes an editor: there, members of a group may change its things."""

from typing import Any

from starlette.responses import Response

from runhook.api.call import Call, Json, Query, Route
from runhook.api.saturn.people_shapes import group_member_json
from runhook.api.shapes import stamp
from runhook.errors import Invalid
from runhook.model.access import Role
from runhook.services import groups, members
from runhook.store.database import Transaction

PATH = "/api/groups/{group_id}/members"


async def add(call: Call) -> Response:
    """A `GroupMember`; who is one already keeps their role."""
    body = await call.object()

    def work(tx: Transaction) -> dict[str, Any]:
        group = groups.get(tx, call.caller, call.path("group_id"), "members:write")
        who = _account(body.get("user_id"))
        user = members.find(tx, call.caller, group.owner, who)
        known = {each.user_id: each for each in members.list_all(tx, call.caller, group.owner)}
        member = known.get(user.id) or members.put(
            tx, call.caller, group.owner, user.id, Role.EDITOR, call.now
        )
        return group_member_json(group.id, user.id, stamp(member.created_at))

    return Json(await call.write(work), status_code=201)


async def remove(call: Call) -> Response:
    """Who is to go stands in the query, or in the body."""
    given = call.query("user_id") or (await call.object()).get("user_id")

    def work(tx: Transaction) -> None:
        group = groups.get(tx, call.caller, call.path("group_id"), "members:write")
        members.remove(tx, call.caller, group.owner, _account(given), call.now)

    await call.write(work)
    return Response(status_code=204)


def _account(given: object) -> str:
    if not isinstance(given, str):
        sentence = "name an account by its id"
        raise Invalid("cannot tell who is meant", details={"user_id": sentence})
    return given


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        PATH,
        "members:write",
        add,
        "Make somebody an editor of a group.",
        body="GroupMember",
        status=201,
    ),
    Route(
        "DELETE",
        PATH,
        "members:write",
        remove,
        "Take a role in a group back.",
        body="GroupMember",
        body_required=False,
        status=204,
        queries=(Query("user_id", "An account's id or name."),),
    ),
)
