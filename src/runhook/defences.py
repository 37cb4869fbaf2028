"""What keeps other sites out of a browser that is signed in here: headers on every answer, the
check of where a request comes from, and the token that only our own pages know.

Called by the gate for every request, and by the table of pages for every form.
"""

import hmac

from starlette.requests import Request

from runhook.errors import Forbidden

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_FIELD, FORM_HEADER = "csrf", "x-csrf-token"

HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        b"connect-src 'self'; font-src 'self'; frame-src 'self'; form-action 'self'; "
        b"frame-ancestors 'none'; "
        b"base-uri 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        b"microphone=(), midi=(), payment=(), usb=()",
    ),
]
HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
"""Said only where people reach the server by https: browsers then refuse http for a year."""


def headers(https: bool) -> list[tuple[bytes, bytes]]:
    """The headers of every answer, unless it brings its own."""
    return [*HEADERS, HTTPS_ONLY] if https else HEADERS


def require_own_site(request: Request) -> None:
    """Raise Forbidden if a browser says that another site sent this (Fetch Metadata, Origin).
    Programs say nothing of the kind."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = site not in (None, "same-origin", "none")
    if foreign or (origin is not None and not _names(origin, request.headers.get("host"))):
        raise Forbidden(
            "this request came from another site", hint="Open the page here and try again."
        )


def _names(origin: str, host: str | None) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest == host


def require_same_origin(request: Request) -> None:
    """A session may change something only from our own pages (OWASP: Fetch Metadata, Origin)."""
    if request.method in SAFE_METHODS:
        return
    require_own_site(request)
    if not {"sec-fetch-site", "origin"} & set(request.headers):
        raise Forbidden(
            "cannot tell which site this request came from", hint="Use a token instead."
        )


def require_form_token(request: Request, given: object) -> None:
    """Raise Forbidden unless `given`, or else the header X-CSRF-Token, is the form token of the
    session that the request came with. Without a session (a token came instead) none is needed:
    no browser sends a token by itself."""
    expected = getattr(request.state, "form_token", None)
    given = given or request.headers.get(FORM_HEADER)
    if expected is None:
        return
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Forbidden(
            "this form is not one of this session's",
            hint="Go back, reload the page and try again; programs that use a session send the "
            "X-CSRF-Token that the sign-in gave them.",
        )
