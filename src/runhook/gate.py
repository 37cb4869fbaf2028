"""The gate: every request passes here before anything else happens to it.

It says who is asking (token or session), refuses foreign sites that ride on a session, and lets
only the public set through unasked: what is not named there is closed. So credentials are checked
before path, body and existence.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runhook.errors import Forbidden, Malformed, RunhookError, Unauthorized
from runhook.model.access import Caller
from runhook.services import identities
from runhook.services.site import Server

PUBLIC = frozenset(
    {
        "/api/status",
        "/api/openapi.json",
        "/api/docs",
        "/api/auth/login",
        "/api/auth/logout",
        "/api/hooks/{job_id}/{name}",  # its handler asks for a signature instead
        "/dash/sign-in",
        "/favicon.ico",
    }
)
PUBLIC_PREFIX = "/static/"
_PUBLIC_PATH = re.compile("|".join(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(p)) for p in PUBLIC))
SESSION_COOKIE = "runhook_session"
SECURE_SESSION_COOKIE = "__Host-runhook_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SIGN_IN = "/dash/sign-in"
HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?")
AUTHORIZATION = re.compile(r"^(token|bearer)\s+(\S+)\s*$", re.IGNORECASE)

SECURITY_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        b"connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        b"base-uri 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]


@dataclass(frozen=True)
class Gate:
    """ASGI middleware around the whole application."""

    app: ASGIApp
    server: Server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                given = {name for name, _ in headers}
                headers += [header for header in SECURITY_HEADERS if header[0] not in given]
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

    async def _admit(self, request: Request) -> None:
        """Put the caller into the request's state; raise unless there is one or none is needed."""
        require_known_host(request, self.server.site.url)
        path, query = request.scope["path"], request.scope["query_string"]
        if "\x00" in path or b"%00" in query:
            raise Malformed("an address may not hold a NUL character")
        if not query.isascii():
            raise Malformed("an address is written in ASCII; encode all else with %")
        if is_public(path):
            return
        await self._let_in(request)
        request.state.readmit = partial(self._let_in, request)

    async def _let_in(self, request: Request) -> None:
        caller = await self._caller(request)
        request.state.caller = replace(caller, address=address_of(request))

    async def _caller(self, request: Request) -> Caller:
        database, keys, now = self.server.database, self.server.keys, self.server.clock()
        token = token_of(request.headers)
        if token is not None:
            return await database.read(lambda tx: identities.caller_of_token(tx, keys, token))
        session = session_of(request)
        if session is None:
            raise Unauthorized(hint=identities.HOW)
        caller = await database.read(lambda tx: identities.caller_of_session(tx, session, now))
        require_same_origin(request)
        return caller


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


def session_of(request: HTTPConnection) -> str | None:
    """The session id that the browser sent."""
    return request.cookies.get(SECURE_SESSION_COOKIE) or request.cookies.get(SESSION_COOKIE)


def set_session(request: Request, response: Response, session_id: str) -> None:
    """Have the browser keep the session; over https under a name that no other host can set."""
    secure = request.url.scheme == "https"
    response.set_cookie(
        SECURE_SESSION_COOKIE if secure else SESSION_COOKIE,
        session_id,
        max_age=int(identities.SESSION_LASTS.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def clear_session(response: Response) -> None:
    """Have the browser forget the session."""
    response.delete_cookie(SESSION_COOKIE, path="/")
    response.delete_cookie(SECURE_SESSION_COOKIE, path="/", secure=True)


def require_same_origin(request: Request) -> None:
    """A session may change something only from our own pages (OWASP: Fetch Metadata, Origin)."""
    if request.method in SAFE_METHODS:
        return
    refuse_foreign(request)
    if not {"sec-fetch-site", "origin"} & set(request.headers.keys()):
        raise Forbidden(
            "cannot tell which site this request came from", hint="Use a token instead."
        )


def refuse_foreign(request: Request) -> None:
    """Raise if a browser says that it asks on behalf of another site. Programs say nothing."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site not in (None, "same-origin", "none")
    if foreign or (origin is not None and not _names(origin, request.headers.get("host"))):
        raise Forbidden(
            "this request came from another site", hint="Open the page here and try again."
        )


def _names(origin: str, host: str | None) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest == host


def require_known_host(request: Request, url: str) -> None:
    """On a loopback address answer to loopback names only, so that no foreign name can be pointed
    at it (DNS rebinding)."""
    host = request.headers.get("host", "")
    name = host_name(host)
    if is_loopback(urlsplit(url).hostname) and not is_loopback(name):
        raise Forbidden(
            f"this server does not answer to the name {name or host!r}",
            hint="Set RUNHOOK_SERVER_URL to the address under which people reach it.",
        )


def host_name(host: str) -> str | None:
    """The name or address in a Host header; None if it is none."""
    match = HOST.fullmatch(host)
    return (match[1] or match[2]).lower() if match else None


def is_loopback(name: str | None) -> bool:
    """Is it this machine's own name or address, which no name service can point elsewhere?"""
    if name is None or name == "localhost":
        return name is not None
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _refusal(request: Request, error: RunhookError) -> Response:
    path = request.scope["path"]
    wants_page = path.startswith("/dash") or path == "/"
    if wants_page and isinstance(error, Unauthorized) and request.method in SAFE_METHODS:
        query = urlencode({"next": path})
        return RedirectResponse(f"{SIGN_IN}?{query}", status_code=303)
    return error_response(error)


def error_response(error: RunhookError) -> Response:
    """The one JSON shape of errors."""
    headers = {"WWW-Authenticate": "token"} if isinstance(error, Unauthorized) else None
    return JSONResponse(error.body(), status_code=error.status, headers=headers)
