"""Signing in and out."""

from urllib.parse import urlencode

from starlette.responses import Response

from runhook.errors import Unauthorized
from runhook.gate import clear_session, require_same_origin, session_of, set_session
from runhook.services import identities
from runhook.store.database import Transaction
from runhook.web.ask import Ask, go


async def sign_in_page(ask: Ask) -> Response:
    """A one-time link only shows a button here: what looks ahead at links must not use it up."""
    return _form(ask, ask.query("link"), page_of_ours(ask.query("next")))


async def sign_in(ask: Ask) -> Response:
    require_same_origin(ask.request)
    form = await ask.form()
    link, token = str(form.get("link") or ""), str(form.get("token") or "").strip()
    target = page_of_ours(str(form.get("next") or ""))

    def work(tx: Transaction) -> str:
        if link:
            return identities.open_session(tx, link, ask.now)
        return identities.sign_in_with_token(tx, ask.server.keys, token, ask.now)

    try:
        session = await ask.write(work)
    except Unauthorized as error:
        return _form(ask, "", target, status=401, error=f"{error.message}. {error.hint}")
    answer = go(target)
    set_session(ask.request, answer, session)
    return answer


async def sign_out(ask: Ask) -> Response:
    session = session_of(ask.request)
    if session:
        await ask.write(lambda tx: identities.sign_out(tx, session))
    answer = go("/dash/sign-in")
    clear_session(answer)
    return answer


def _form(ask: Ask, link: str, target: str, status: int = 200, error: str = "") -> Response:
    sign_on = ask.server.sign_on
    label = sign_on.label if sign_on else ""
    query = urlencode({"next": target})
    return ask.page(
        "sign_in.html", status, link=link, next=target, error=error, label=label, query=query
    )


def page_of_ours(path: str) -> str:
    """Only a page of ours: never another site, however it is written."""
    safe = path.startswith("/dash") and "//" not in path and "\\" not in path
    return path if safe else "/dash"
