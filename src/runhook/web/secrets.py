"""The page of secrets: their names, and a form for new values. No page holds a value."""

from pydantic import ValidationError
from starlette.responses import Response

from runhook.errors import Conflict, Forbidden, Invalid, NotFound
from runhook.model.job import Job
from runhook.model.secret import NewSecret, SecretChange, SecretInfo
from runhook.services import secrets
from runhook.services.validation import field_errors
from runhook.store.database import Transaction
from runhook.web.ask import Ask, go

PAGE = "/dash/secrets"
MOST_SHOWN = 1000


async def secrets_page(ask: Ask) -> Response:
    return await _page(ask)


async def _page(
    ask: Ask,
    status: int = 200,
    wrong: dict[str, str] | None = None,
    error: str = "",
    in_use: str = "",
    **typed: str,
) -> Response:
    def work(tx: Transaction) -> list[tuple[SecretInfo, list[Job], bool]]:
        found = secrets.list_page(tx, ask.caller, size=MOST_SHOWN)
        used = secrets.users_of(tx, *found)
        return [
            (each, _seen(ask, used[each.id]), secrets.may_write(ask.caller, each)) for each in found
        ]

    return ask.page(
        "secrets.html",
        status,
        rows=await ask.read(work),
        wrong=wrong or {},
        error=error,
        in_use=in_use,
        typed=typed,
        own=ask.caller.owner,
        note=secrets.TOO_SHORT if ask.query("note") == "short" else "",
    )


def _seen(ask: Ask, found: list[Job]) -> list[Job]:
    return [job for job in found if ask.caller.role_on(job.owner)]


async def add_secret(ask: Ask) -> Response:
    form = await ask.form()
    typed = {name: str(form.get(name) or "").strip() for name in ("name", "owner", "access")}
    given = {name: text for name, text in typed.items() if text}
    value = _value(form.get("value"))
    keys = ask.server.keys
    try:
        new = NewSecret.model_validate({**given, "value": value})
        await ask.write(lambda tx: secrets.add(tx, keys, ask.caller, new, ask.now))
    except ValidationError as error:
        return await _page(ask, 422, field_errors(error, NewSecret), **typed)
    except (Invalid, Conflict) as error:
        return await _page(ask, error.status, error.details or {"name": error.message}, **typed)
    except (NotFound, Forbidden) as error:
        return await _page(ask, error.status, {"owner": error.message}, **typed)
    return _done(value)


async def change_secret(ask: Ask) -> Response:
    """Another value for a secret; an empty one changes nothing."""
    form = await ask.form()
    value, keys, secret_id = _value(form.get("value")), ask.server.keys, ask.path("secret_id")
    await ask.read(lambda tx: secrets.get(tx, ask.caller, secret_id, "secrets:write"))
    if not value:
        return go(PAGE)
    try:
        wanted = SecretChange.model_validate({"value": value})
    except ValidationError as error:
        sentence = ", ".join(field_errors(error, SecretChange).values())
        return await _page(ask, 422, error=f"cannot use this value: {sentence}")
    await ask.write(lambda tx: secrets.change(tx, keys, ask.caller, secret_id, wanted, ask.now))
    return _done(value)


async def delete_secret(ask: Ask) -> Response:
    """Asked for again, with the names of the jobs, if any has it attached."""
    form, secret_id = await ask.form(), ask.path("secret_id")
    force = form.get("force") == "yes"
    try:
        await ask.write(lambda tx: secrets.delete(tx, ask.caller, secret_id, ask.now, force=force))
    except Conflict as error:
        return await _page(ask, 409, error=error.message, in_use=secret_id)
    return go(PAGE)


def _value(text: object) -> str:
    """What was typed, with the line ends of Unix: browsers send others."""
    return str(text or "").replace("\r\n", "\n")


def _done(value: str) -> Response:
    return go(f"{PAGE}?note=short" if value and secrets.notices(value) else PAGE)
