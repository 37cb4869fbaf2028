"""Signing in and out, and setting a first or new password by a one-time link."""

from urllib.parse import urlencode

from starlette.responses import Response

from runhook import arrival
from runhook.errors import Forbidden, Invalid, RunhookError, TooManyRequests, Unauthorized
from runhook.gate import address_of, clear_session, headers_of, session_of, set_session
from runhook.services import links, sessions
from runhook.web.ask import Ask, go


async def sign_in_page(ask: Ask) -> Response:
    """A one-time link only shows a form here: what looks ahead at links must not use it up."""
    return await _form(ask, ask.query("link"), page_of_ours(ask.query("next")))


async def enter(ask: Ask) -> Response:
    """By link (with a password, if it sets one), by name and password, or by user token."""
    form = await ask.form()
    link, name, password, again, target = (
        str(form.get(field) or "") for field in ("link", "name", "password", "again", "next")
    )
    token, target = str(form.get("token") or "").strip(), page_of_ours(target)
    try:
        if link and password != again:
            raise Invalid(details={"password": "was written differently the second time"})
        if link:
            session = await arrival.with_link(ask, link, password)
        elif token:
            session = await _by_token(ask, token)
        else:
            session = await arrival.with_password(ask, name.strip(), password)
    except (Forbidden, Invalid, Unauthorized, TooManyRequests) as error:
        kept = link if isinstance(error, Invalid) else ""
        return await _form(ask, kept, target, error, name)
    answer = go(target)
    set_session(ask.request, ask.server, answer, session)
    return answer


async def _by_token(ask: Ask, token: str) -> str:
    session = await arrival.with_token(ask, token)
    if session is None:
        raise Unauthorized("the token is not valid", hint="`runhook token` prints one.")
    return session


async def leave(ask: Ask) -> Response:
    session, address = session_of(ask.request, ask.server), address_of(ask.request)
    if session:
        await ask.write(lambda tx: sessions.sign_out(tx, session, address, ask.now))
    answer = go("/dash/sign-in")
    clear_session(answer)
    return answer


async def _form(
    ask: Ask, token: str, target: str, error: RunhookError | None = None, name: str = ""
) -> Response:
    link = None
    try:
        link = await ask.read(lambda tx: links.look(tx, token, ask.now)) if token else None
    except Unauthorized as spent:
        error = spent
    sign_on = ask.server.sign_on
    answer = ask.page(
        "sign_in.html",
        error.status if error else 200,
        link=token if link else "",
        person=link.user.name if link and link.purpose == links.PASSWORD else "",
        next=target,
        name=name,
        error=_sentences(error),
        label=sign_on.label if sign_on else "",
        passwords=not (sign_on and sign_on.only),
        query=urlencode({"next": target}),
    )
    answer.headers.update(headers_of(error) if isinstance(error, TooManyRequests) else {})
    return answer


def _sentences(error: RunhookError | None) -> list[str]:
    """What is wrong, as sentences."""
    if error is None:
        return []
    if isinstance(error, Invalid):
        return [f"The password {text}" for text in error.details.values()]
    return [f"{error.message[:1].upper()}{error.message[1:]}.", error.hint]


def page_of_ours(path: str) -> str:
    """Only a page of ours: never another site, however it is written."""
    safe = path.startswith("/dash") and "//" not in path and "\\" not in path
    return path if safe else "/dash"
