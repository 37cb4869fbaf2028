"""Handlers of /api/user and /api/auth: the account, its token, password, sessions and sign-in
links."""

from starlette.responses import Response

from runhook import arrival
from runhook.api.call import Call, Json, Route
from runhook.api.shapes import session_json, user_json
from runhook.defences import require_own_site
from runhook.errors import Invalid
from runhook.gate import address_of, clear_session, session_of, set_session
from runhook.model.people import NewPassword, OwnChange
from runhook.services import identities, links, people, sessions
from runhook.store.database import Transaction
from runhook.store.identities import digest


async def get(call: Call) -> Response:
    user, created_at = await call.read(lambda tx: identities.account(tx, call.caller))
    return Json(user_json(user, created_at))


async def change(call: Call) -> Response:
    wanted = await call.body(OwnChange)
    await call.write(lambda tx: people.change_own(tx, call.caller, wanted, call.now))
    return await get(call)


async def token(call: Call) -> Response:
    """The same value until it is rotated."""
    keys = call.server.keys
    value = await call.read(lambda tx: identities.user_token(tx, keys, call.caller))
    return Json({"token": value}, headers={"Cache-Control": "no-store"})


async def rotate_token(call: Call) -> Response:
    keys = call.server.keys
    value = await call.write(lambda tx: identities.rotate_token(tx, keys, call.caller, call.now))
    return Json({"token": value}, headers={"Cache-Control": "no-store"})


async def change_password(call: Call) -> Response:
    await arrival.change_password(call, await call.body(NewPassword))
    return Response(status_code=204)


async def list_sessions(call: Call) -> Response:
    found = await call.read(lambda tx: sessions.list_own(tx, call.caller, call.now))
    mine = digest(session_of(call.request, call.server) or "")
    return Json({"sessions": [session_json(each, each.id_hash == mine) for each in found]})


async def end_session(call: Call) -> Response:
    session_id = call.path("session_id")
    await call.write(lambda tx: sessions.end(tx, call.caller, session_id, call.now))
    return Response(status_code=204)


async def end_other_sessions(call: Call) -> Response:
    """All of them, if the request came with a token."""
    mine = session_of(call.request, call.server)
    await call.write(lambda tx: sessions.end_others(tx, call.caller, mine, call.now))
    return Response(status_code=204)


async def sign_in_link(call: Call) -> Response:
    """A link for the caller's own browser, good once and for a day; `next` is a page of ours."""
    target = (await call.object()).get("next") or "/dash"
    if not isinstance(target, str) or not target.startswith("/dash"):
        raise Invalid(
            "cannot make this link", details={"next": "write a path that begins with /dash"}
        )

    def work(tx: Transaction) -> str:
        return identities.make_sign_in_link(tx, call.caller, call.now)

    link = links.url(call.server.site.url, await call.write(work), target)
    return Json({"url": link}, status_code=201, headers={"Cache-Control": "no-store"})


async def login(call: Call) -> Response:
    """A session for whoever names an account and proves it with its password or user token."""
    require_own_site(call.request)
    body = await call.object()
    name, password = body.get("username", ""), body.get("password")
    if not isinstance(password, str) or not isinstance(name, str):
        sentence = "send a name, and your password or user token"
        raise Invalid("cannot sign in", details={"password": sentence})
    session = await arrival.with_password(call, name, password)
    response = Response(status_code=204)
    set_session(call.request, call.server, response, session)
    return response


async def logout(call: Call) -> Response:
    require_own_site(call.request)
    session = session_of(call.request, call.server)
    if session:
        address = address_of(call.request)
        await call.write(lambda tx: sessions.sign_out(tx, session, address, call.now))
    response = Response(status_code=302, headers={"Location": "/dash/sign-in"})
    clear_session(response)
    return response


ROUTES: tuple[Route, ...] = (
    Route(
        "PATCH", "/api/user", "user:write", change, "Change your name or address.", body="OwnChange"
    ),
    Route(
        "POST",
        "/api/user/password",
        "user:token",
        change_password,
        "Set your password; your other sessions end.",
        body="NewPassword",
        status=204,
    ),
    Route("GET", "/api/user/sessions", "user:write", list_sessions, "Where you are signed in."),
    Route(
        "DELETE",
        "/api/user/sessions",
        "user:write",
        end_other_sessions,
        "End all your other sessions.",
        status=204,
    ),
    Route(
        "DELETE",
        "/api/user/sessions/{session_id}",
        "user:write",
        end_session,
        "End one of your sessions.",
        status=204,
    ),
)
