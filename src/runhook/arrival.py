"""Arriving: signing in, and setting passwords, for the API and the pages alike.

Each is a transaction that looks, a hash computed in a thread, and a transaction that writes; the
verbs are those of `services.sign_in`.
"""

from runhook.asked import Asked
from runhook.defences import require_own_site
from runhook.errors import Forbidden, Invalid
from runhook.gate import address_of, session_of
from runhook.model.people import NewPassword
from runhook.services import links, passwords, sign_in
from runhook.services.access import require_scope, require_whole
from runhook.services.sessions import Visit
from runhook.services.sign_in import Claim


def visit_of(asked: Asked) -> Visit:
    """Where the request comes from."""
    return Visit(address_of(asked.request), asked.request.headers.get("user-agent", ""))


async def with_token(asked: Asked, token: str, name: str = "") -> str | None:
    """A session by the user token (of `name`, if given); None if it is no such token."""
    require_own_site(asked.request)
    keys, visit, now = asked.server.keys, visit_of(asked), asked.now
    return await asked.write(lambda tx: sign_in.with_token(tx, keys, token, visit, now, name))


async def with_password(asked: Asked, name: str, password: str) -> str:
    """A session by name and password, where the user token is as good as the password.

    Unauthorized, with the same words and after the same time, whatever is wrong;
    TooManyRequests while the name or the address has to wait. A token is never made to wait.
    """
    session = await with_token(asked, password, name)
    if session is not None:
        return session
    _require_passwords(asked)
    keys, visit, now = asked.server.keys, visit_of(asked), asked.now
    claim, fitted = await _compared(asked, name, password)
    return await asked.write(lambda tx: sign_in.finish(tx, keys, claim, fitted, visit, now))


def _require_passwords(asked: Asked) -> None:
    """Forbidden where people sign in through their provider only (`oidc.only`)."""
    sign_on = asked.server.sign_on
    if sign_on and sign_on.only:
        raise Forbidden(
            "passwords are switched off on this server", hint=f"Use «{sign_on.label}» instead."
        )


async def _compared(asked: Asked, name: str, password: str) -> tuple[Claim, bool]:
    keys, address, now = asked.server.keys, address_of(asked.request), asked.now
    claim = await asked.write(lambda tx: sign_in.begin(tx, keys, name, address, now))
    if len(password) > passwords.LONGEST:
        password = ""
    return claim, await passwords.fits(password, claim.kept)


async def with_link(asked: Asked, token: str, password: str | None) -> str:
    """A session by a one-time link. One that sets a password needs it in `password`: Invalid, and
    the link is not used up, if that is none to be used."""
    require_own_site(asked.request)
    keys, visit, now = asked.server.keys, visit_of(asked), asked.now
    link = await asked.read(lambda tx: links.look(tx, token, now))
    if link.purpose == links.SIGN_IN:
        return await asked.write(lambda tx: sign_in.with_link(tx, token, visit, now))
    _require_passwords(asked)
    passwords.require_good(password or "", link.user.name, link.user.email)
    kept = await passwords.hashed(password or "")
    return await asked.write(lambda tx: sign_in.set_by_link(tx, keys, token, kept, visit, now))


async def change_password(asked: Asked, given: NewPassword) -> None:
    """The caller's own password; every other session of theirs ends.

    Forbidden to a token with a scope, whatever it says, before any password is compared. Invalid if
    `current` does not fit, TooManyRequests after too many wrong ones; an account that has no
    password yet needs no current one.
    """
    caller, keys, now = asked.caller, asked.server.keys, asked.now
    require_whole(caller)
    require_scope(caller, "user:token")
    _require_passwords(asked)
    passwords.require_good(given.new, caller.name)
    claim, fitted = await _compared(asked, caller.name, given.current)
    if not (fitted or (claim.user is not None and claim.kept is None)):
        raise Invalid("cannot change the password", details={"current": "does not fit"})
    kept, session = await passwords.hashed(given.new), session_of(asked.request, asked.server)
    await asked.write(lambda tx: sign_in.change(tx, keys, caller, kept, session or "", now))
