"""The page of git access: credentials and known ssh hosts."""

import asyncio

from pydantic import ValidationError
from starlette.responses import Response

from runhook.errors import Conflict, Invalid
from runhook.model.git_access import NewCredential
from runhook.services import git_access
from runhook.services.validation import field_errors
from runhook.store.database import Transaction
from runhook.web.ask import Ask, go

PAGE = "/dash/git"
FIELDS = ("name", "kind", "url_prefix", "username", "value")


async def git_page(ask: Ask) -> Response:
    return await _page(ask)


async def _page(
    ask: Ask, status: int = 200, wrong: dict[str, str] | None = None, **typed: str
) -> Response:
    def work(tx: Transaction) -> tuple[list[object], list[object]]:
        credentials = git_access.list_credentials(tx, ask.caller)
        return list(credentials), list(git_access.list_hosts(tx, ask.caller))

    credentials, hosts = await ask.read(work)
    return ask.page(
        "git.html",
        status,
        credentials=credentials,
        hosts=hosts,
        wrong=wrong or {},
        typed=typed,
        admin=ask.caller.admin,
    )


async def add_credential(ask: Ask) -> Response:
    form = await ask.form()
    typed = {name: str(form.get(name) or "") for name in FIELDS}
    given = {name: text for name, text in typed.items() if text.strip()}
    try:
        wanted = NewCredential.model_validate(given)
        new = await asyncio.to_thread(
            git_access.seal_credential, ask.server.keys, ask.caller, wanted, ask.now
        )
        await ask.write(lambda tx: git_access.add_credential(tx, ask.caller, new))
    except ValidationError as error:
        wrong = field_errors(error, NewCredential)
        return await _page(ask, 422, wrong, **typed)
    except (Invalid, Conflict) as error:
        return await _page(ask, error.status, error.details or {"name": error.message}, **typed)
    return go(PAGE)


async def delete_credential(ask: Ask) -> Response:
    credential_id = ask.path("credential_id")
    await ask.write(lambda tx: git_access.delete_credential(tx, ask.caller, credential_id, ask.now))
    return go(PAGE)


async def confirm_host(ask: Ask) -> Response:
    host_id = ask.path("host_id")
    await ask.write(lambda tx: git_access.confirm_host(tx, ask.caller, host_id, ask.now))
    return go(PAGE)


async def delete_host(ask: Ask) -> Response:
    host_id = ask.path("host_id")
    await ask.write(lambda tx: git_access.delete_host(tx, ask.caller, host_id, ask.now))
    return go(PAGE)
