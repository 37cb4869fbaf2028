"""The pages of people and groups: accounts for administrators, groups and members for their
admins."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from runhook.errors import Conflict, Invalid, NotFound, RunhookError
from runhook.model.access import Role, User
from runhook.model.people import GivenRole, GroupChange, NewGroup, NewPerson, PersonChange
from runhook.services import groups, links, members, people
from runhook.services.validation import field_errors
from runhook.store.database import Transaction
from runhook.web.ask import Ask, go

M = TypeVar("M", bound=BaseModel)
PAGE = "/dash/people"
CHANGES: dict[str, dict[str, bool]] = {
    "disable": {"locked": True},
    "enable": {"locked": False},
    "promote": {"admin": True},
    "demote": {"admin": False},
}


async def people_page(ask: Ask) -> Response:
    return await _page(ask)


async def _page(ask: Ask, error: RunhookError | None = None, **typed: str) -> Response:
    def work(tx: Transaction) -> tuple[list[Any], list[Any]]:
        users = people.list_all(tx, ask.caller) if ask.caller.admin else []
        return list(users), list(groups.list_all(tx, ask.caller))

    users, found = await ask.read(work)
    values = {"users": users, "groups": found, "typed": typed, "me": ask.caller.user_id}
    return ask.page("people.html", status_of(error), errors=sentences(error), **values)


async def invite(ask: Ask) -> Response:
    """A new account, and the link for its person: shown here and never again."""
    typed = await _typed(ask, "username", "full_name", "email")
    keys, organization = ask.server.keys, ask.server.organization
    admin = (await ask.form()).get("admin") == "yes"
    try:
        new = read(NewPerson, {**typed, "admin": admin})
        user, token = await ask.write(
            lambda tx: people.invite(tx, keys, ask.caller, organization, new, ask.now)
        )
    except (Invalid, Conflict) as error:
        return await _page(ask, error, **typed)
    return _link_page(ask, user, token, "invitation")


async def reset(ask: Ask) -> Response:
    who = ask.path("user_id")
    try:
        user, token = await ask.write(lambda tx: people.reset(tx, ask.caller, who, ask.now))
    except Conflict as error:
        return await _page(ask, error)
    return _link_page(ask, user, token, "reset")


def _link_page(ask: Ask, user: User, token: str, kind: str) -> Response:
    url = links.url(ask.server.site.url, token)
    return ask.page("link.html", person=user.name, url=url, kind=kind)


async def change_user(ask: Ask) -> Response:
    """Disable, enable, make an administrator of somebody or no longer."""
    who, verb = ask.path("user_id"), str((await ask.form()).get("do"))
    wanted = PersonChange.model_validate(CHANGES.get(verb, {}))
    return await _done(ask, lambda tx: people.change(tx, ask.caller, who, wanted, ask.now))


async def delete_user(ask: Ask) -> Response:
    who = ask.path("user_id")
    return await _done(ask, lambda tx: people.delete(tx, ask.caller, who, ask.now))


async def create_group(ask: Ask) -> Response:
    typed, organization = await _typed(ask, "groupname", "description"), ask.server.organization

    def work(tx: Transaction) -> None:
        groups.create(tx, ask.caller, organization, read(NewGroup, typed), ask.now)

    return await _done(ask, work, **typed)


async def _done(ask: Ask, work: Callable[[Transaction], object], **typed: str) -> Response:
    try:
        await ask.write(work)
    except (Invalid, Conflict) as error:
        return await _page(ask, error, **typed)
    return go(PAGE)


async def group_page(ask: Ask) -> Response:
    return await _group_page(ask)


async def _group_page(ask: Ask, error: RunhookError | None = None, name: str = "") -> Response:
    def work(tx: Transaction) -> tuple[Any, list[Any]]:
        group = groups.get(tx, ask.caller, ask.path("group_id"))
        return group, list(members.list_all(tx, ask.caller, group.owner))

    group, found = await ask.read(work)
    values = {"group": group, "members": found, "roles": list(Role), "typed": name}
    return ask.page("group.html", status_of(error), errors=sentences(error), **values)


async def change_group(ask: Ask) -> Response:
    typed = await _typed(ask, "description")

    def work(tx: Transaction) -> None:
        wanted = read(GroupChange, typed)
        groups.change(tx, ask.caller, ask.path("group_id"), wanted, ask.now)

    return await _group_done(ask, work)


async def put_member(ask: Ask) -> Response:
    typed = await _typed(ask, "name", "role")

    def work(tx: Transaction) -> None:
        owner = groups.get(tx, ask.caller, ask.path("group_id"), "members:write").owner
        give_role(tx, ask, owner, typed)

    return await _group_done(ask, work, typed["name"])


async def remove_member(ask: Ask) -> Response:
    def work(tx: Transaction) -> None:
        owner = groups.get(tx, ask.caller, ask.path("group_id"), "members:write").owner
        members.remove(tx, ask.caller, owner, ask.path("user_id"), ask.now)

    return await _group_done(ask, work)


async def _group_done(ask: Ask, work: Callable[[Transaction], object], name: str = "") -> Response:
    try:
        await ask.write(work)
    except (Invalid, Conflict) as error:
        return await _group_page(ask, error, name)
    return go(f"{PAGE}/groups/{ask.path('group_id')}")


async def delete_group(ask: Ask) -> Response:
    which = ask.path("group_id")
    try:
        await ask.write(lambda tx: groups.delete(tx, ask.caller, which, ask.now))
    except Conflict as error:
        return await _group_page(ask, error)
    return go(PAGE)


def give_role(tx: Transaction, ask: Ask, owner: str, typed: dict[str, str]) -> None:
    """What the form for members asks for; somebody who is not there is a wrong name in it."""
    role = read(GivenRole, {"role": typed["role"]}).role
    try:
        members.put(tx, ask.caller, owner, typed["name"], role, ask.now)
    except NotFound:
        details = {"name": f"there is nobody called {typed['name']!r}"}
        raise Invalid("cannot give this role", details=details) from None


async def _typed(ask: Ask, *names: str) -> dict[str, str]:
    form = await ask.form()
    return {name: str(form.get(name) or "").strip() for name in names}


def read(model: type[M], values: dict[str, Any]) -> M:
    """`values` of a form as `model`; Invalid names each wrong field."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Invalid("cannot use this form", details=field_errors(error, model)) from None


def status_of(error: RunhookError | None) -> int:
    return error.status if error else 200


def sentences(error: RunhookError | None) -> list[str]:
    """What is wrong with a form, and what to do about it."""
    if error is None:
        return []
    if isinstance(error, Invalid):
        return [f"{name.replace('_', ' ').capitalize()}: {t}" for name, t in error.details.items()]
    return [f"{error.message[:1].upper()}{error.message[1:]}.", *filter(None, [error.hint])]


PAGES = (
    ("GET", PAGE, "members:read", people_page),
    ("POST", f"{PAGE}/users", "users:write", invite),
    ("POST", f"{PAGE}/users/{{user_id}}", "users:write", change_user),
    ("POST", f"{PAGE}/users/{{user_id}}/reset", "users:write", reset),
    ("POST", f"{PAGE}/users/{{user_id}}/delete", "users:write", delete_user),
    ("POST", f"{PAGE}/groups", "users:write", create_group),
    ("GET", f"{PAGE}/groups/{{group_id}}", "members:read", group_page),
    ("POST", f"{PAGE}/groups/{{group_id}}", "members:write", change_group),
    ("POST", f"{PAGE}/groups/{{group_id}}/members", "members:write", put_member),
    (
        "POST",
        f"{PAGE}/groups/{{group_id}}/members/{{user_id}}/remove",
        "members:write",
        remove_member,
    ),
    ("POST", f"{PAGE}/groups/{{group_id}}/delete", "members:write", delete_group),
)
