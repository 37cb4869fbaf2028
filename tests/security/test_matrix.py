"""Every role against every route, on one's own things, a group's and foreign ones: made from the
tables of routes, so that a route that is not what its row says, or that forgets to ask, fails."""

import re

import pytest

from runhook.api.call import PUBLIC, Route
from runhook.api.routes import ROUTES
from runhook.model.access import ACCOUNT_ACTIONS, ACTIONS, ROLE_OF, SERVER_ACTIONS, Role
from runhook.web.pages import PAGES
from tests.conftest import Api
from tests.security.cast import FOREIGN, GROUP, Cast, body_of, sessions_of, status_of

REFUSED = (401, 403, 404)
CLOSED = [route for route in ROUTES if route.action != PUBLIC]
OF_THINGS = [route for route in CLOSED if route.action in ROLE_OF]
OWN_ONLY = ("/api/user", "/api/tokens")
"""Below these everything is the caller's own, whatever the action."""
NAMED_IN_BODY = {
    *(("POST", "/api/jobs"), ("PUT", "/api/recipes"), ("POST", "/api/git/credentials")),
    ("POST", "/api/secrets"),
}
"""Calls without a thing in their address that say in the body whose the new one is to be."""
LISTS = {"/api/jobs", "/api/runs", "/api/recipes", "/api/groups", "/api/git/credentials",
         "/api/git/hosts", "/api/secrets", "/api/audit", "/api/audit/export"}  # fmt: skip
"""Whoever may look at anything may list what that is; what is in the lists is tested below."""
MAY_BE_EMPTY = {
    *("/api/runs/{run_id}/result", "/api/runs/{run_id}/notebook"),
    "/api/runs/{run_id}/artifacts/{path:path}",
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
    if role is None:
        return None if status == 404 else "does not exist for a stranger"
    if role.rank < ROLE_OF[route.action].rank:
        return None if status == 403 else f"takes {ROLE_OF[route.action]}"
    if status == 404 and route.path in MAY_BE_EMPTY:
        return None
    return None if status not in REFUSED and status < 500 else "is allowed"


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
        path, body = cast.path(route.path, owner), body_of(route.method, route.path, owner)
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
    path, body = cast.path(route.path, GROUP), body_of(route.method, route.path, GROUP)
    assert status_of(cast.people[role], route.method, path, body) == 403


@pytest.mark.parametrize("route", [each for each in CLOSED if "{" not in each.path], ids=name)
def test_the_administrator_is_refused_nothing(cast: Cast, route: Route) -> None:
    if route.action in ACCOUNT_ACTIONS and route.method != "GET":
        pytest.skip("would change the account that all tests share")
    body = body_of(route.method, route.path, GROUP)
    assert status_of(cast.admin, route.method, route.path, body) not in REFUSED


@pytest.mark.parametrize("path", sorted(LISTS - {"/api/audit", "/api/audit/export"}))
def test_lists_hold_what_one_may_see_and_nothing_else(cast: Cast, path: str) -> None:
    for owner in (GROUP, FOREIGN):
        for kind in ("job_id", "run_id", "credential_id", "secret_id"):
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


WRITES = [(path, action) for method, path, action, _ in PAGES if method == "POST"]


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    ("path", "action"),
    [each for each in WRITES if each[1] in ROLE_OF and re.search(r"\{(job|run)_id\}", each[0])],
)
def test_forms_hold_the_same_rules(cast: Cast, path: str, action: str, role: Role) -> None:
    session = sessions_of(cast.people[role])
    url = cast.people[role].server.url
    page = session.get(f"{url}/dash", timeout=20).text
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert token
    for owner, held in ((GROUP, role), (FOREIGN, None)):
        answer = session.post(
            url + cast.path(path, owner),
            data={"csrf": token[1], "pinned": "yes", "paused": "yes"},
            headers={"Origin": url},
            allow_redirects=False,
            timeout=20,
        )
        if held is None:
            assert answer.status_code == 404
        elif held.rank < ROLE_OF[action].rank:
            assert answer.status_code == 403
        else:
            assert answer.status_code not in REFUSED
