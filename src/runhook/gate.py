"""The gate: every request passes here before anything else happens to it.

It says who is asking (token or session), refuses foreign sites that ride on a session, and lets
only the public set through unasked: what is not named there is closed. So credentials are checked
before path, body and existence.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runhook import defences
from runhook.defences import SAFE_METHODS, require_form_token, require_same_origin
from runhook.errors import Malformed, RunhookError, TooManyRequests, Unauthorized
from runhook.model.access import Caller
from runhook.services import identities, sessions
from runhook.services.site import Server
from runhook.uses import Uses

logger = logging.getLogger("runhook")

PUBLIC = frozenset(
    {
        "/api/status",
        "/api/openapi.json",
        "/api/docs",
        "/api/auth/login",
        "/api/auth/logout",
        "/api/auth/token",  # its handler asks for a refresh token instead
        "/api/hooks/{job_id}/{name}",  # its handler asks for a signature instead
        "/dash/sign-in",
        "/dash/sign-in/sso",
        "/dash/sign-in/sso/callback",
        "/favicon.ico",
    }
)
PUBLIC_PREFIX = "/static/"
_PUBLIC_PATH = re.compile("|".join(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(p)) for p in PUBLIC))
SESSION_COOKIE = "runhook_session"
SECURE_SESSION_COOKIE = "__Host-runhook_session"
SIGN_IN = "/dash/sign-in"
POLICY_VIOLATION = 1008
"""The code that closes a websocket which may not be (RFC 6455, section 7.4.1)."""
AUTHORIZATION = re.compile(r"^(token|bearer)\s+(\S+)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Gate:
    """ASGI middleware around the whole application."""

    app: ASGIApp
    server: Server
    uses: Uses
    notes: "Notes" = field(default_factory=lambda: Notes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return

        safe = defences.headers(self.server.https)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                given = {name for name, _ in headers}
                headers += [each for each in safe if each[0] not in given]
                if b"cache-control" not in given and not scope["path"].startswith(PUBLIC_PREFIX):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        request = Request(scope)
        try:
            await self._admit(request)
        except RunhookError as error:
            await _refusal(request, error)(scope, receive, send_safely)
        else:
            await self.app(scope, receive, send_safely)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is no request: the server's own start and end pass, a websocket is closed (nobody
        was asked who they are), and what we do not know comes to nothing."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})

    async def _admit(self, request: Request) -> None:
        """Put the caller into the request's state; raise unless there is one or none is needed."""
        self.server.hosts.require(request.headers.get("host") or "")
        path, query = request.scope["path"], request.scope["query_string"]
        if "\x00" in path or b"%00" in query:
            raise Malformed("an address may not hold a NUL character")
        if not query.isascii():
            raise Malformed("an address is written in ASCII; encode all else with %")
        if is_public(path):
            return
        await self._let_in(request)
        self.uses.note(caller_of(request), self.server.clock())
        request.state.readmit = partial(self._let_in, request)

    async def _let_in(self, request: Request) -> None:
        caller = await self._caller(request)
        request.state.caller = replace(caller, address=address_of(request))

    async def _caller(self, request: Request) -> Caller:
        database, keys = self.server.database, self.server.keys
        token = token_of(request.headers)
        if token is not None:
            return await database.read(
                lambda tx: identities.caller_of_token(tx, keys, token, self.server.clock())
            )
        session = session_of(request, self.server)
        if session is None:
            raise Unauthorized(hint=identities.HOW)
        return await self._caller_of_session(request, session)

    async def _caller_of_session(self, request: Request, session: str) -> Caller:
        """Who is signed in. A page's form token is looked at by the table of pages."""
        database, now = self.server.database, self.server.clock()
        caller, due = await database.read(lambda tx: sessions.caller_of(tx, session, now))
        require_same_origin(request)
        request.state.form_token = self.server.keys.form_token(session)
        if request.method not in SAFE_METHODS and request.scope["path"].startswith("/api"):
            require_form_token(request, None)
        if due:
            self.notes.add(database.write(lambda tx: sessions.note_seen(tx, session, now)))
        return caller


class Notes:
    """Writes that nobody waits for: a request is answered as quickly without them, and even if
    the database cannot take them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, note: Awaitable[None]) -> None:
        task = asyncio.create_task(_noted(note))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _noted(note: Awaitable[None]) -> None:
    try:
        await note
    except RunhookError as error:
        logger.warning("a note is lost: %s", error.message)


def is_public(path: str) -> bool:
    """May anybody at all ask for this path? (A route's template is as public as its paths.)"""
    return _PUBLIC_PATH.fullmatch(path) is not None or path.startswith(PUBLIC_PREFIX)


def caller_of(request: HTTPConnection) -> Caller:
    """Who the gate found to be asking. Never call it for a public path."""
    caller = request.state.caller
    assert isinstance(caller, Caller)
    return caller


async def readmit(request: HTTPConnection) -> None:
    """Look again who is asking, for an answer that goes on for long: what `caller_of` gives is up
    to date after it. Raises what the gate would answer if the credential counts no longer."""
    again: Callable[[], Awaitable[None]] | None = getattr(request.state, "readmit", None)
    if again is not None:  # a public path has no caller who could be sent away
        await again()


def address_of(request: HTTPConnection) -> str:
    """Where the request came from, for people: an address, or nothing."""
    return request.client.host if request.client else ""


def token_of(headers: Headers) -> str | None:
    """The token of `Authorization: token X` or `Bearer X`, in any case and with any run of spaces.

    None without the header; Unauthorized if it is there but says something else.
    """
    header = headers.get("authorization")
    if header is None:
        return None
    match = AUTHORIZATION.match(header.strip())
    if not match:
        raise Unauthorized("the Authorization header holds no token", hint=identities.HOW)
    return match[2]


def is_secure(request: HTTPConnection, server: Server) -> bool:
    """Does the browser speak https, at least with the proxy before us?"""
    return server.https or request.url.scheme == "https"


def session_of(request: HTTPConnection, server: Server) -> str | None:
    """The session id that the browser sent. By https only the cookie counts whose name no other
    host can set."""
    secure = is_secure(request, server)
    return request.cookies.get(SECURE_SESSION_COOKIE if secure else SESSION_COOKIE)


def set_session(request: Request, server: Server, response: Response, session_id: str) -> None:
    """Have the browser keep the session, and tell programs their form token."""
    secure = is_secure(request, server)
    response.set_cookie(
        SECURE_SESSION_COOKIE if secure else SESSION_COOKIE,
        session_id,
        max_age=int(sessions.LASTS.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )
    response.headers[defences.FORM_HEADER] = server.keys.form_token(session_id)


def clear_session(response: Response) -> None:
    """Have the browser forget the session."""
    response.delete_cookie(SESSION_COOKIE, path="/")
    response.delete_cookie(SECURE_SESSION_COOKIE, path="/", secure=True)


def _refusal(request: Request, error: RunhookError) -> Response:
    path = request.scope["path"]
    wants_page = path.startswith("/dash") or path == "/"
    if wants_page and isinstance(error, Unauthorized) and request.method in SAFE_METHODS:
        query = urlencode({"next": path})
        return RedirectResponse(f"{SIGN_IN}?{query}", status_code=303)
    return error_response(error)


def error_response(error: RunhookError) -> Response:
    """The one JSON shape of errors."""
    return JSONResponse(error.body(), status_code=error.status, headers=headers_of(error))


def headers_of(error: RunhookError) -> dict[str, str]:
    """What an error says beside its words."""
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "token"}
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(error.retry_after)}
    return {}
