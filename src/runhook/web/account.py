"""The page of one's own account: name, password, sessions, user token, and who may use one's
things."""

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from runhook import arrival
from runhook.errors import Conflict, Invalid, RunhookError, TooManyRequests
from runhook.gate import session_of
from runhook.model.access import Role
from runhook.model.people import NewPassword, OwnChange
from runhook.services import identities, members, people, sessions, sign_in
from runhook.store.database import Transaction
from runhook.store.identities import digest
from runhook.web.ask import Ask, go
from runhook.web.people import give_role, read, sentences, status_of

PAGE = "/dash/account"


async def account_page(ask: Ask) -> Response:
    return await _page(ask)


async def _page(ask: Ask, error: RunhookError | None = None, token: str = "") -> Response:
    def work(tx: Transaction) -> dict[str, Any]:
        user, _ = identities.account(tx, ask.caller)
        return {
            "user": user,
            "has_password": sign_in.has_password(tx, ask.caller),
            "sessions": sessions.list_own(tx, ask.caller, ask.now),
            "owners": members.owners(tx, ask.caller),
            "members": members.list_all(tx, ask.caller, ask.caller.owner),
        }

    values = await ask.read(work)
    values["mine"] = digest(session_of(ask.request, ask.server) or "")
    values |= {"errors": sentences(error), "token": token, "roles": list(Role)}
    sign_on = ask.server.sign_on
    values |= {"provider": sign_on is not None, "passwords": not (sign_on and sign_on.only)}
    return ask.page("account.html", status_of(error), **values)


async def change(ask: Ask) -> Response:
    form = await ask.form()
    given = {name: str(form.get(name) or "").strip() for name in ("full_name", "email")}
    return await _done(
        ask, lambda tx: people.change_own(tx, ask.caller, read(OwnChange, given), ask.now)
    )


async def change_password(ask: Ask) -> Response:
    form = await ask.form()
    given = {name: str(form.get(name) or "") for name in ("current", "new")}
    try:
        if given["new"] != form.get("again"):
            raise Invalid(details={"password": "was written differently the second time"})
        await arrival.change_password(ask, read(NewPassword, given))
    except (Invalid, TooManyRequests) as error:
        return await _page(ask, error)
    return go(PAGE)


async def end_session(ask: Ask) -> Response:
    session_id = ask.path("session_id")
    await ask.write(lambda tx: sessions.end(tx, ask.caller, session_id, ask.now))
    return go(PAGE)


async def end_other_sessions(ask: Ask) -> Response:
    mine = session_of(ask.request, ask.server)
    await ask.write(lambda tx: sessions.end_others(tx, ask.caller, mine, ask.now))
    return go(PAGE)


async def show_token(ask: Ask) -> Response:
    """Only when asked for, so that it stands on no screen by accident."""
    keys = ask.server.keys
    return await _page(
        ask, token=await ask.read(lambda tx: identities.user_token(tx, keys, ask.caller))
    )


async def rotate_token(ask: Ask) -> Response:
    keys = ask.server.keys
    fresh = await ask.write(lambda tx: identities.rotate_token(tx, keys, ask.caller, ask.now))
    return await _page(ask, token=fresh)


async def put_member(ask: Ask) -> Response:
    form = await ask.form()
    typed = {name: str(form.get(name) or "").strip() for name in ("name", "role")}
    return await _done(ask, lambda tx: give_role(tx, ask, ask.caller.owner, typed))


async def remove_member(ask: Ask) -> Response:
    who = ask.path("user_id")
    return await _done(
        ask, lambda tx: members.remove(tx, ask.caller, ask.caller.owner, who, ask.now)
    )


async def _done(ask: Ask, work: Callable[[Transaction], object]) -> Response:
    try:
        await ask.write(work)
    except (Invalid, Conflict) as error:
        return await _page(ask, error)
    return go(PAGE)


PAGES = (
    ("GET", PAGE, "user:read", account_page),
    ("POST", PAGE, "user:write", change),
    ("POST", f"{PAGE}/password", "user:token", change_password),
    ("POST", f"{PAGE}/sessions/end", "user:write", end_other_sessions),
    ("POST", f"{PAGE}/sessions/{{session_id}}/end", "user:write", end_session),
    ("POST", f"{PAGE}/token", "user:token", show_token),
    ("POST", f"{PAGE}/token/rotate", "user:token", rotate_token),
    ("POST", f"{PAGE}/members", "members:write", put_member),
    ("POST", f"{PAGE}/members/{{user_id}}/remove", "members:write", remove_member),
)
