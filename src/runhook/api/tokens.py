"""Handlers of /api/tokens and of the refresh, and their rows of the table."""

from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import Response

from runhook.api.call import PAGING, PUBLIC, Call, Json, Page, Query, Route
from runhook.api.token_shapes import (
    ApiTokenCreate,
    ApiTokenUpdate,
    RefreshGrant,
    grant_json,
    token_json,
)
from runhook.errors import Invalid, Malformed, Unauthorized
from runhook.gate import address_of
from runhook.model.access import Caller
from runhook.model.token import Token
from runhook.services import tokens

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECRET = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""An answer that holds a token is kept by nobody (RFC 6749, section 5.1)."""


async def list_tokens(call: Call) -> Response:
    page = Page.of(call)
    user_id = call.query("user_id")

    def key(token: Token) -> list[Any]:
        return [(token.created_at - EPOCH) // MICROSECOND, token.id]

    edges = {"after": _edge(page.after), "before": _edge(page.before)}
    found = await call.read(
        lambda tx: tokens.list_page(tx, call.caller, size=page.size + 1, user_id=user_id, **edges)
    )
    answer = page.answer("tokens", found, key)
    return Json({**answer, "tokens": [token_json(each) for each in answer["tokens"]]})


def _edge(key: list[Any] | None) -> tuple[datetime, str] | None:
    if key is None:
        return None
    if type(key[0]) is not int or not 0 <= key[0] < 2**53:
        raise Invalid("cannot read the key of this page")
    return EPOCH + key[0] * MICROSECOND, key[1]


async def create(call: Call) -> Response:
    """The only answer that holds the token."""
    wanted = await call.body(ApiTokenCreate)
    _require_self(call.caller, wanted.identity)
    values = tokens.Wanted(**wanted.model_dump(exclude={"identity"}))
    made = await call.write(lambda tx: tokens.make(tx, call.caller, values, call.now))
    opening = {"access_token": made.access}
    if made.refresh:
        opening["refresh_token"] = made.refresh
    return Json({**token_json(made.token), **opening}, status_code=201, headers=SECRET)


def _require_self(caller: Caller, identity: dict[str, Any] | None) -> None:
    """The contract's reference to an account or a group: here tokens are for oneself."""
    oneself = (None, caller.user_id, caller.name, caller.owner)
    if any(value not in oneself for value in (identity or {}).values()):
        sentence = "tokens are made for your own account; leave this out"
        raise Invalid("cannot make this token", details={"identity": sentence})


async def get(call: Call) -> Response:
    token_id = call.path("api_token_id")
    return Json(token_json(await call.read(lambda tx: tokens.get(tx, call.caller, token_id))))


async def describe(call: Call) -> Response:
    token_id, caller, now = call.path("api_token_id"), call.caller, call.now
    await call.read(lambda tx: tokens.get(tx, caller, token_id, change=True))
    wanted = await call.body(ApiTokenUpdate)
    token = await call.write(
        lambda tx: tokens.describe(tx, caller, token_id, wanted.description, now)
    )
    return Json(token_json(token))


async def revoke(call: Call) -> Response:
    token_id = call.path("api_token_id")
    await call.write(lambda tx: tokens.revoke(tx, call.caller, token_id, call.now))
    return Response(status_code=204)


async def refresh(call: Call) -> Response:
    """A new pair for a refresh token (RFC 6749, section 6). Nobody is signed in here."""
    spent = await _refresh_token(call)
    address, now = address_of(call.request), call.now
    if not await call.read(lambda tx: tokens.may_refresh(tx, spent)):
        raise _opens_nothing()
    made = await call.write(lambda tx: tokens.refresh(tx, spent, address, now))
    if made is None:
        raise _opens_nothing()
    return Json(grant_json(made), headers=SECRET)


async def _refresh_token(call: Call) -> str:
    try:
        return (await call.body(RefreshGrant)).refresh_token
    except Invalid as error:
        raise Malformed(
            "cannot give a token for this",
            hint="Send {'grant_type': 'refresh_token', 'refresh_token': …}.",
            details=error.details,
        ) from None


def _opens_nothing() -> Unauthorized:
    return Unauthorized(
        "the refresh token is not valid",
        hint="Each can be used once, in its time; make another token if yours is gone.",
    )


PATH = "/api/tokens/{api_token_id}"
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/tokens",
        "user:token",
        list_tokens,
        "Your named tokens, newest first.",
        answer="ApiTokenList",
        queries=(Query("user_id", "Somebody else's, for administrators."), *PAGING),
    ),
    Route(
        "POST",
        "/api/tokens",
        "user:token",
        create,
        "Make a token. Only this answer holds it.",
        body="ApiTokenCreate",
        answer="ApiToken",
        status=201,
    ),
    Route("GET", PATH, "user:token", get, "A token, not what opens it.", answer="ApiTokenInfo"),
    Route(
        "PATCH",
        PATH,
        "user:token",
        describe,
        "Describe a token otherwise.",
        body="ApiTokenUpdate",
        answer="ApiTokenInfo",
    ),
    Route("DELETE", PATH, "user:token", revoke, "End a token.", status=204),
    Route(
        "POST",
        "/api/auth/token",
        PUBLIC,
        refresh,
        "A new pair of tokens for a refresh token, once.",
        body="RefreshGrant",
        answer="AuthorizationTokenResponse",
    ),
)
