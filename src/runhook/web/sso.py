"""Signing in through a provider, and linking one's account to it: the pages.

What belongs to one attempt travels in a cookie that only we can read and that only the browser has
which began it, so an answer that was begun elsewhere opens nothing; and each is good once.
"""

import hmac
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from starlette.responses import RedirectResponse, Response

from runhook.errors import Forbidden, NotFound, RunhookError, Unauthorized
from runhook.gate import address_of, session_of, set_session
from runhook.model.access import Caller
from runhook.model.sign_on import Person
from runhook.services import identities, sso
from runhook.signon.base import Attempt, SignOn
from runhook.web.ask import Ask, go
from runhook.web.session import page_of_ours

COOKIE, SECURE_COOKIE = "runhook_sign_on", "__Host-runhook_sign_on"
LASTS = timedelta(minutes=10)
CALLBACK = "/dash/sign-in/sso/callback"
ACCOUNT = "/dash/account/sso"
LONGEST = 4096
DENIED = ("access_denied", "consent_required", "interaction_required", "login_required")
"""What a provider says if the person, or its own rules, said no."""
ERROR = re.compile("[a-z_]{1,64}")


@dataclass(frozen=True)
class Begun:
    """An attempt, from when until when it is good, where it leads, and the account to be linked
    (empty: to sign in)."""

    attempt: Attempt
    expires_at: datetime
    target: str
    user_id: str = ""

    def packed(self) -> str:
        values = {**asdict(self), "expires_at": self.expires_at.timestamp()}
        return json.dumps(values)

    @classmethod
    def unpacked(cls, text: str) -> "Begun":
        values = json.loads(text)
        attempt = Attempt(**values.pop("attempt"))
        expires_at = datetime.fromtimestamp(values.pop("expires_at"), UTC)
        return cls(attempt=attempt, expires_at=expires_at, **values)


async def begin(ask: Ask) -> Response:
    """Send the browser to the provider."""
    return await _guarded(ask, lambda: _begin(ask))


async def _begin(ask: Ask) -> Response:
    sign_on = configured(ask)
    begun = Begun(Attempt(), ask.now + LASTS, page_of_ours(ask.query("next")))
    address = await sign_on.provider.address(begun.attempt, _redirect_uri(ask))
    answer = RedirectResponse(address, status_code=303)
    _keep(ask, answer, begun)
    return answer


async def callback(ask: Ask) -> Response:
    """The provider has sent the browser back."""
    answer = await _guarded(ask, lambda: _finish(ask))
    for name in (COOKIE, SECURE_COOKIE):
        answer.delete_cookie(name, path="/", secure=name == SECURE_COOKIE)
    return answer


async def _finish(ask: Ask) -> Response:
    sign_on = configured(ask)
    error, code, issuer = (ask.query(name) for name in ("error", "code", "iss"))
    if error or not code:  # some providers leave the state out here, and nothing hangs on it
        raise _not_signed_in(error)
    begun = await _begun(ask)
    if issuer and issuer != sign_on.provider.issuer:
        raise Unauthorized("this answer comes from another sign-in provider", hint="Begin again.")
    claims = await sign_on.provider.claims(
        begun.attempt, code[:LONGEST], _redirect_uri(ask), ask.now
    )
    person = sign_on.admission.person(claims)
    if begun.user_id:
        return await _link(ask, begun, person)
    address = address_of(ask.request)
    session = await ask.write(
        lambda tx: sso.sign_in(
            tx,
            ask.server.keys,
            ask.server.organization,
            sign_on.admission,
            person,
            address,
            ask.now,
        )
    )
    answer = go(begun.target)
    set_session(ask.request, answer, session)
    return answer


def _not_signed_in(error: str) -> RunhookError:
    if error in DENIED:
        return Forbidden("the sign-in provider was told no", hint="Begin again to say yes.")
    word = error if ERROR.fullmatch(error) else "no code"
    return Unauthorized(
        f"the sign-in provider did not sign you in ({word})",
        hint="Begin again; if it stays so, an administrator has to look at the provider.",
    )


async def account_page(ask: Ask) -> Response:
    """Whether one's account is linked to the provider."""
    sign_on = configured(ask)
    issuer = sign_on.provider.issuer
    found = await ask.read(lambda tx: sso.linked(tx, ask.caller, issuer))
    return ask.page("sso_account.html", linked=found, label=sign_on.label, go_on="")


async def begin_link(ask: Ask) -> Response:
    """A page with the link to the provider: a form may lead to our own pages only."""
    sign_on = configured(ask)
    begun = Begun(Attempt(), ask.now + LASTS, ACCOUNT, ask.caller.user_id)
    address = await sign_on.provider.address(begun.attempt, _redirect_uri(ask))
    answer = ask.page("sso_account.html", linked=[], label=sign_on.label, go_on=address)
    _keep(ask, answer, begun)
    return answer


async def unlink(ask: Ask) -> Response:
    issuer = configured(ask).provider.issuer
    await ask.write(lambda tx: sso.unlink(tx, ask.caller, issuer, ask.now))
    return go(ACCOUNT)


async def _link(ask: Ask, begun: Begun, person: Person) -> Response:
    """The account is that of whoever began, who must still be signed in."""
    caller = await _signed_in(ask)
    if caller is None or caller.user_id != begun.user_id:
        raise Unauthorized(
            "you are no longer signed in to the account that was to be linked",
            hint="Sign in to it, and begin again on its page.",
        )
    await ask.write(lambda tx: sso.link(tx, caller, person, ask.now))
    return go(begun.target)


async def _signed_in(ask: Ask) -> Caller | None:
    session, now = session_of(ask.request), ask.now
    if not session:
        return None
    try:
        return await ask.read(lambda tx: identities.caller_of_session(tx, session, now))
    except Unauthorized:
        return None


def configured(ask: Ask) -> SignOn:
    """How people sign in through a provider; NotFound if they do not."""
    if ask.server.sign_on is None:
        raise NotFound(
            "nobody signs in here through a provider", hint="Settings under [oidc] would name one."
        )
    return ask.server.sign_on


def _redirect_uri(ask: Ask) -> str:
    """Where the provider sends people back: by the settings, whatever the request says."""
    return f"{ask.server.site.url}{CALLBACK}"


def _keep(ask: Ask, answer: Response, begun: Begun) -> None:
    secure = _is_secure(ask)
    answer.set_cookie(
        SECURE_COOKIE if secure else COOKIE,
        ask.server.keys.seal_attempt(begun.packed()),
        max_age=int(LASTS.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def _is_secure(ask: Ask) -> bool:
    return ask.server.site.url.startswith("https:")


async def _begun(ask: Ask) -> Begun:
    """The attempt that this is the answer to, which is used up with it."""
    sealed = ask.request.cookies.get(SECURE_COOKIE if _is_secure(ask) else COOKIE, "")
    opened = ask.server.keys.open_attempt(sealed[:LONGEST])
    begun = Begun.unpacked(opened) if opened else None
    state = ask.query("state").encode("utf-8", "replace")
    if (
        begun is None
        or begun.expires_at <= ask.now
        or not hmac.compare_digest(begun.attempt.state.encode(), state)
    ):
        raise Unauthorized(
            "this sign-in was not begun in this browser, or too long ago", hint="Begin again."
        )
    spent, end = begun.attempt.state, begun.expires_at
    await ask.write(lambda tx: sso.use_up(tx, spent, end, ask.now))
    return begun


async def _guarded(ask: Ask, work: Callable[[], Awaitable[Response]]) -> Response:
    """What goes wrong is told on a page that leads back to the beginning."""
    try:
        return await work()
    except RunhookError as error:
        if ask.server.sign_on is None:
            raise
        label = ask.server.sign_on.label
        return ask.page("sso_failed.html", error.status, error=error, label=label)
