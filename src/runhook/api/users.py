"""Handlers of /api/user and /api/auth: the account, its token, sessions and sign-in links."""

from starlette.responses import Response

from runhook.api.call import Call, Json
from runhook.api.shapes import user_json
from runhook.errors import Invalid
from runhook.gate import clear_session, refuse_foreign, session_of, set_session
from runhook.services import identities
from runhook.store.database import Transaction


async def get(call: Call) -> Response:
    user, created_at = await call.read(lambda tx: identities.account(tx, call.caller))
    return Json(user_json(user, created_at))


async def token(call: Call) -> Response:
    """The same value until it is rotated."""
    keys = call.server.keys
    value = await call.read(lambda tx: identities.user_token(tx, keys, call.caller))
    return Json({"token": value}, headers={"Cache-Control": "no-store"})


async def rotate_token(call: Call) -> Response:
    keys = call.server.keys
    value = await call.write(lambda tx: identities.rotate_token(tx, keys, call.caller))
    return Json({"token": value}, headers={"Cache-Control": "no-store"})


async def sign_in_link(call: Call) -> Response:
    """A link for the caller's own browser, good once and for a day; `next` is a page of ours."""
    target = (await call.object()).get("next") or "/dash"
    if not isinstance(target, str) or not target.startswith("/dash"):
        raise Invalid(
            "cannot make this link", details={"next": "write a path that begins with /dash"}
        )

    def work(tx: Transaction) -> str:
        return identities.make_sign_in_link(tx, call.caller, call.now)

    link = identities.link_url(call.server.site.url, await call.write(work), target)
    return Json({"url": link}, status_code=201, headers={"Cache-Control": "no-store"})


async def login(call: Call) -> Response:
    """A session for whoever names an account and proves it with its user token as the password."""
    refuse_foreign(call.request)
    body = await call.object()
    password = body.get("password")
    if not isinstance(password, str):
        raise Invalid("cannot sign in", details={"password": "send your user token"})
    keys, now = call.server.keys, call.now

    def work(tx: Transaction) -> str:
        return identities.sign_in_with_token(tx, keys, password, now)

    response = Response(status_code=204)
    set_session(call.request, response, await call.write(work))
    return response


async def logout(call: Call) -> Response:
    refuse_foreign(call.request)
    session = session_of(call.request)
    if session:
        await call.write(lambda tx: identities.sign_out(tx, session))
    response = Response(status_code=302, headers={"Location": "/dash/sign-in"})
    clear_session(response)
    return response
