"""Every role against every route, on one's own things, a group's and foreign ones: made from the
tables of routes, so that a route that is not what its row says, or that forgets to ask, fails."""

from typing import NamedTuple

import pytest

from runhook.api.call import PUBLIC, Route
from runhook.api.routes import ROUTES
from runhook.model.access import ACCOUNT_ACTIONS, ACTIONS, ROLE_OF, SERVER_ACTIONS, Role
from runhook.web.pages import PAGES
from tests.conftest import Api
from tests.security.cast import FOREIGN, GROUP, Browser, Cast, form_of, status_of

REFUSED = (401, 403, 404)
CLOSED = [route for route in ROUTES if route.action != PUBLIC]
OF_THINGS = [route for route in CLOSED if route.action in ROLE_OF]
OWN_ONLY = ("/api/user", "/api/tokens")
"""Below these everything is the caller's own, whatever the action."""
NAMED_IN_BODY = {
    *(("POST", "/api/jobs"), ("PUT", "/api/recipes"), ("POST", "/api/git/credentials")),
    *(("POST", "/api/secrets"), ("POST", "/api/repositories/inspect")),
    *(("POST", "/api/secrets"), ("POST", "/api/recipes")),
    *(("POST", "/api/ssh_private_keys"), ("POST", "/api/external_repos")),
    ("POST", "/api/external_repo_attachments"),
}
"""Calls without a thing in their address that say in the body whose the new one is to be."""
LISTS = {"/api/jobs", "/api/runs", "/api/recipes", "/api/groups", "/api/git/credentials",
         "/api/git/hosts", "/api/secrets", "/api/audit", "/api/audit/export", "/api/active/pods",
         "/api/ssh_private_keys", "/api/external_repos",
         "/api/external_repo_attachments", "/api/active/resources"}  # fmt: skip
"""Whoever may look at anything may list what that is; what is in the lists is tested below."""
MAY_BE_EMPTY = {
    *("/api/runs/{run_id}/result", "/api/runs/{run_id}/notebook"),
    "/api/runs/{run_id}/artifacts/{path:path}",
    *("/api/jobs/{job_id}/template", "/api/jobs/{job_id}/service_account"),
}
"""Addresses of things that the run of the cast did not leave: 404 is what those hear who may."""


@pytest.fixture(scope="module")
def cast(shared_api: Api) -> Cast:
    return Cast.of(shared_api)


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_every_route_and_page_names_an_action_that_exists() -> None:
    named = {(route.method, route.path): route.action for route in ROUTES}
    named |= {(method, path): action for method, path, action, _ in PAGES}
    assert {key for key, action in named.items() if action not in {*ACTIONS, PUBLIC}} == set()


def test_no_route_is_outside_the_matrix() -> None:
    """A call that makes something must say whose, or stand below what is one's own."""
    for route in OF_THINGS:
        in_address = "{" in route.path
        own = route.path.startswith(OWN_ONLY)
        named = (route.method, route.path) in NAMED_IN_BODY
        assert in_address or own or named or route.path in LISTS, f"{name(route)}: whose is it?"


def judge(route: Route, role: Role | None, status: int) -> str | None:
    """What is wrong with that answer to somebody with that role on the thing."""
    if role is None or role.rank < ROLE_OF[route.action].rank:
        return judge_refusal(route.action, role, status)
    if status == 404 and route.path in MAY_BE_EMPTY:
        return None
    return None if status not in REFUSED and status < 500 else "is allowed"


def judge_refusal(action: str, role: Role | None, status: int) -> str | None:
    """What is wrong with that answer to somebody whose role does not go so far."""
    if role is None:
        return None if status == 404 else "does not exist for a stranger"
    return None if status == 403 else f"takes {ROLE_OF[action]}"


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    "route",
    [each for each in OF_THINGS if "{" in each.path or (each.method, each.path) in NAMED_IN_BODY],
    ids=name,
)
def test_a_thing_is_used_as_far_as_the_role_goes(cast: Cast, route: Route, role: Role) -> None:
    """On a group's things the role decides, on one's own one is admin, foreign ones are not there.
    Below what is one's own there are no others'."""
    owners: dict[str, Role | None] = {cast.own(role): Role.ADMIN}
    if not route.path.startswith(OWN_ONLY):
        owners |= {GROUP: role, FOREIGN: None}
    if "{group_id}" in route.path:
        owners.pop(cast.own(role))
    wrong = {}
    for owner, expected in owners.items():
        path, body = cast.path(route.path, owner), cast.body(route.method, route.path, owner)
        status = status_of(cast.people[role], route.method, path, body)
        problem = judge(route, expected, status)
        if problem:
            wrong[owner] = f"{status}, but it {problem}"
    assert not wrong


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    "route", [each for each in CLOSED if each.action in SERVER_ACTIONS], ids=name
)
def test_what_concerns_the_server_takes_its_administrator(
    cast: Cast, route: Route, role: Role
) -> None:
    path, body = cast.path(route.path, GROUP), cast.body(route.method, route.path, GROUP)
    assert status_of(cast.people[role], route.method, path, body) == 403


@pytest.mark.parametrize("route", [each for each in CLOSED if "{" not in each.path], ids=name)
def test_the_administrator_is_refused_nothing(cast: Cast, route: Route) -> None:
    if route.action in ACCOUNT_ACTIONS and route.method != "GET":
        pytest.skip("would change the account that all tests share")
    body = cast.body(route.method, route.path, GROUP)
    assert status_of(cast.admin, route.method, route.path, body) not in REFUSED


@pytest.mark.parametrize("path", sorted(LISTS - {"/api/audit", "/api/audit/export"}))
def test_lists_hold_what_one_may_see_and_nothing_else(cast: Cast, path: str) -> None:
    for owner in (GROUP, FOREIGN):
        for kind in (
            "job_id",
            "run_id",
            "credential_id",
            "secret_id",
            "ssh_privatekey_id",
            "external_repo_attachment_id",
        ):
            cast.thing(kind, owner)
    text = cast.people["viewer"].request("GET", path, params={"page_size": 1000}).text
    assert FOREIGN not in text
    assert not path.endswith("hosts") or "main/" not in text


@pytest.mark.parametrize("role", list(Role))
def test_the_audit_log_is_for_admins_of_what_it_tells(cast: Cast, role: Role) -> None:
    """Everybody is admin of their own things, so everybody may ask; the rows are chosen."""
    cast.thing("job_id", GROUP)
    cast.thing("job_id", FOREIGN)
    for path in ("/api/audit?page_size=1000", "/api/audit/export"):
        text = cast.people[role].request("GET", path).text
        assert FOREIGN not in text
        assert (GROUP in text) == (role is Role.ADMIN)
    asked = cast.people[role].request("GET", "/api/audit", params={"owner": FOREIGN})
    assert asked.status_code in (403, 404)


class Page(NamedTuple):
    """A row of the table of pages."""

    method: str
    path: str
    action: str


ROWS = [Page(method, path, action) for method, path, action, _ in PAGES]
GUARDED = [page for page in ROWS if page.action in {*ROLE_OF, *SERVER_ACTIONS}]
NAMED_IN_FORM = {
    *(("POST", "/dash/jobs/new"), ("POST", "/dash/secrets"), ("POST", "/dash/runs/cancel")),
}
"""Forms without a thing in their address that say in a field whose the new one is to be, or which
it is."""
OWN_PAGES = "/dash/account"
"""Below this everything is the caller's own, whatever the action."""
PAGES_OF_LISTS = {
    *(("GET", "/dash"), ("GET", "/dash/git"), ("GET", "/dash/secrets"), ("GET", "/dash/people")),
    *(("GET", "/dash/audit"), ("GET", "/dash/runs"), ("GET", "/dash/schedules")),
}
"""Whoever may look at anything may open them; what is in them is tested below."""
EXEMPT = PAGES_OF_LISTS | {
    ("GET", "/dash/live"),  # says that something changed, and nothing about what
    ("GET", "/dash/jobs/new"),  # an empty form: everybody may make jobs of their own
    ("GET", "/dash/jobs/from-git"),  # the same
    ("POST", "/dash/jobs/example"),  # makes one's own example
    ("POST", "/dash/jobs/from-git"),  # asks what POST /api/repositories/inspect does, judged above
    ("POST", "/dash/git/credentials"),  # has no field for an owner: it is always one's own
    ("POST", "/dash/account/members"),  # the same
}
"""Pages that are nobody's things in particular: open to everybody who is signed in."""


def page_name(page: Page) -> str:
    return f"{page.method} {page.path}"


def names_a_thing(page: Page) -> bool:
    return "{" in page.path or page[:2] in NAMED_IN_FORM


JUDGED_BY_ROLE = [page for page in GUARDED if page.action in ROLE_OF and names_a_thing(page)]
JUDGED_BY_SERVER = [page for page in GUARDED if page.action in SERVER_ACTIONS]


@pytest.fixture(scope="module")
def browsers(cast: Cast) -> dict[str, Browser]:
    """By role, and the server's administrator."""
    everybody = {**cast.people, "administrator": cast.admin}
    return {name: Browser.of(person) for name, person in everybody.items()}


def test_no_page_is_outside_the_matrix() -> None:
    """A new page must name a thing, be the administrator's, or be exempt for a reason."""
    judged = {page[:2] for page in [*JUDGED_BY_ROLE, *JUDGED_BY_SERVER]}
    guarded = {page[:2] for page in GUARDED}
    assert guarded - judged == EXEMPT
    assert not judged & EXEMPT
    assert judged >= NAMED_IN_FORM


PAGES_MAY_BE_EMPTY = {
    f"/dash/runs/{{run_id}}/{each}" for each in ("cells", "output", "notebook.html")
}
"""Pages of a notebook, which the run of the cast did not leave."""


def judge_page(page: Page, role: Role | None, status: int) -> str | None:
    """The same as for calls; and a form that is allowed is one that could be used."""
    if role and role.rank >= ROLE_OF[page.action].rank:
        if status == 404 and page.path in PAGES_MAY_BE_EMPTY:
            return None
        return None if status in (200, 303, 409) else "is allowed"
    return judge_refusal(page.action, role, status)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("page", JUDGED_BY_ROLE, ids=page_name)
def test_pages_hold_the_same_rules(
    cast: Cast, browsers: dict[str, Browser], page: Page, role: Role
) -> None:
    owners: dict[str, Role | None] = {cast.own(role): Role.ADMIN}
    if not page.path.startswith(OWN_PAGES):
        owners |= {GROUP: role, FOREIGN: None}
    if "{group_id}" in page.path:
        owners.pop(cast.own(role))
    wrong = {}
    for owner, expected in owners.items():
        path, form = cast.path(page.path, owner), form_of(cast, page.path, owner)
        status = browsers[role].status(page.method, path, form)
        problem = judge_page(page, expected, status)
        if problem:
            wrong[owner] = f"{status}, but it {problem}"
    assert not wrong


@pytest.mark.parametrize("page", JUDGED_BY_SERVER, ids=page_name)
def test_pages_that_concern_the_server_take_its_administrator(
    cast: Cast, browsers: dict[str, Browser], page: Page
) -> None:
    for owner in (GROUP, FOREIGN):
        path, form = cast.path(page.path, owner), form_of(cast, page.path, owner)
        heard = {role: browsers[role].status(page.method, path, form) for role in Role}
        assert heard == dict.fromkeys(Role, 403)
        assert browsers["administrator"].status(page.method, path, form) in (200, 303)


@pytest.mark.parametrize(("method", "path"), sorted(EXEMPT))
def test_pages_of_nobody_in_particular_open_for_everybody(
    cast: Cast, browsers: dict[str, Browser], method: str, path: str
) -> None:
    form = form_of(cast, path, GROUP)
    for role in Role:
        assert browsers[role].status(method, path, form) not in REFUSED


@pytest.mark.parametrize("path", sorted(path for _, path in PAGES_OF_LISTS))
def test_pages_of_lists_hold_what_one_may_see_and_nothing_else(
    cast: Cast, browsers: dict[str, Browser], path: str
) -> None:
    for owner in (FOREIGN, GROUP):
        for kind in ("job_id", "credential_id", "secret_id"):
            cast.thing(kind, owner)
    text = browsers["admin"].text(path)
    assert GROUP in text
    assert FOREIGN not in text


def test_a_foreign_job_is_not_found_by_its_name(cast: Cast, browsers: dict[str, Browser]) -> None:
    for owner, found in ((GROUP, True), (FOREIGN, False)):
        job = cast.thing("job_id", owner)
        called = cast.admin.request("GET", f"/api/jobs/{job}").json()["name"]
        text = browsers["admin"].text(f"/dash?name={called}")
        assert (job in text) is found
