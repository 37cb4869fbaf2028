"""Named tokens through the API of a real server: scopes, ends, refresh, and tokens of runs."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from runhook.api.routes import ROUTES
from runhook.model.access import RUN_SCOPES, SCOPE_ACTIONS
from runhook.model.scope import START_ONE, bound
from tests.api.test_routes import CLOSED, path_of
from tests.conftest import Api, LiveServer

INFO = set(
    "id description created_at expires_at refresh_expires_at scope user_id group_id".split()
) | {"last_used_at", "last_address"}


def make(api: Api, **wanted: object) -> dict[str, str]:
    answer = api.request("POST", "/api/tokens", json={"description": "made", **wanted})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return dict(answer.json())


def holding(api: Api, **wanted: object) -> Api:
    """Somebody who has a new token only."""
    return Api(api.server, make(api, **wanted)["access_token"])


def refresh(server: LiveServer, token: object, **more: object) -> requests.Response:
    grant = {"grant_type": "refresh_token", "refresh_token": token, **more}
    return requests.post(f"{server.url}/api/auth/token", json=grant, timeout=20)


def expire(server: LiveServer, token_id: str) -> None:
    """Let its time be over, without waiting for that."""
    with sqlite3.connect(server.data / "runhook.db", timeout=20) as database:
        done = database.execute("UPDATE tokens SET expires_at = 1 WHERE id = ?", [token_id])
        assert done.rowcount == 1
    database.close()


def test_a_token_is_made_shown_once_described_and_revoked(shared_api: Api) -> None:
    made = make(shared_api, expires_in=3600, refresh_expires_in=7200, scope="runs:read  user:read")
    assert set(made) == INFO | {"access_token", "refresh_token"}
    assert re.fullmatch(r"rht_[0-9A-Za-z]{36}", made["access_token"])
    assert re.fullmatch(r"rhf_[0-9A-Za-z]{36}", made["refresh_token"])
    assert made["scope"] == "runs:read user:read"
    path = f"/api/tokens/{made['id']}"
    assert set(shared_api.request("GET", path).json()) == INFO
    changed = shared_api.request("PATCH", path, json={"description": "nightly"}).json()
    assert changed["description"] == "nightly"
    listed = shared_api.request("GET", "/api/tokens").json()
    assert listed["tokens"][0] == changed
    assert "rht_" not in str(listed)
    held = Api(shared_api.server, made["access_token"])
    assert held.request("GET", "/api/user").status_code == 200
    assert shared_api.request("DELETE", path).status_code == 204
    assert held.request("GET", "/api/user").status_code == 401
    assert shared_api.request("DELETE", path).status_code == 404
    assert refresh(shared_api.server, made["refresh_token"]).status_code == 401


def test_a_token_that_may_write_repositories_need_not_list_them(shared_api: Api) -> None:
    writer = holding(shared_api, scope="git:write")
    body = {"remote_url": "https://example.org/acme/written.git"}
    made = writer.request("POST", "/api/external_repos", json=body)
    assert made.status_code == 201, made.text
    path = f"/api/external_repos/{made.json()['id']}"
    assert writer.request("PATCH", path, json={"ssh_privatekey_id": None}).status_code == 200
    assert writer.request("GET", path).status_code == 403
    assert writer.request("DELETE", path).status_code == 204


def test_a_token_without_expiry_has_no_refresh_token(shared_api: Api) -> None:
    made = make(shared_api)
    assert (made["expires_at"], made["scope"], made["group_id"]) == (None, None, None)
    assert "refresh_token" not in made


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": "jobs:strat"}, "scope"),
        ({"scope": ""}, "scope"),
        ({"scope": 1}, "scope"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": True}, "expires_in"),
        ({"expires_in": 10**30}, "expires_in"),
        ({"refresh_expires_in": "1"}, "refresh_expires_in"),
        ({"description": "x" * 256}, "description"),
        ({"identity": {"user_id": "0" * 32}}, "identity"),
        ({"identity": {"group_id": ["x"]}}, "identity"),
        ({"scopes": "runs:read"}, "scopes"),
    ],
)
def test_a_wrong_wish_is_told_which_field(
    shared_api: Api, body: dict[str, object], field: str
) -> None:
    answer = shared_api.request("POST", "/api/tokens", json=body)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["details"]


def test_the_contracts_reference_to_oneself_is_understood(shared_api: Api) -> None:
    user = shared_api.request("GET", "/api/user").json()
    assert make(shared_api, identity={"user_id": user["id"], "group_id": None})
    assert make(shared_api, identity={"name": user["owner"]})


def test_an_expired_token_is_told_so_on_every_route_and_refreshed_as_the_client_does(
    shared_api: Api,
) -> None:
    made = make(shared_api, expires_in=60, refresh_expires_in=3600)
    expire(shared_api.server, made["id"])
    old = Api(shared_api.server, made["access_token"])
    for route in CLOSED:
        answer = old.request(route.method, path_of(route.path))
        assert answer.status_code == 401, route
        assert "expired" in answer.json()["message"]
    answer = refresh(shared_api.server, made["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    pair = answer.json()
    assert set(pair) == set(
        "access_token refresh_token token_type expires_at refresh_expires_at expires_in "
        "refresh_expires_in".split()
    )
    assert (pair["expires_in"], pair["refresh_expires_in"]) == (60, 3600)
    new = Api(shared_api.server, pair["access_token"])
    assert new.request("GET", "/api/user").status_code == 200
    assert "expired" not in old.request("GET", "/api/user").json()["message"]
    assert refresh(shared_api.server, made["refresh_token"]).status_code == 401  # used before
    assert new.request("GET", "/api/user").status_code == 401
    assert refresh(shared_api.server, pair["refresh_token"]).status_code == 401
    assert shared_api.request("GET", f"/api/tokens/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        *("", "{}", "[]", "nonsense", '{"grant_type": "refresh_token"}'),
        '{"grant_type": "password", "refresh_token": "x"}',
        '{"grant_type": "authorization_code", "code": "x"}',
        '{"grant_type": "refresh_token", "refresh_token": 5}',
    ],
)
def test_any_other_grant_is_refused_with_a_sentence(shared_api: Api, body: str) -> None:
    url = f"{shared_api.server.url}/api/auth/token"
    answer = requests.post(url, data=body, timeout=20)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_whatever_is_wrong_with_a_refresh_token_the_answer_is_the_same(shared_api: Api) -> None:
    made = make(shared_api, expires_in=60, refresh_expires_in=60)
    answers = [
        refresh(shared_api.server, token)
        for token in ("", "rhf_" + "a" * 36, made["access_token"], made["refresh_token"] + "x")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert "expired" not in answers[0].json()["message"]  # a client would refresh once more


def test_a_revoked_token_opens_no_route_and_no_stream(shared_api: Api) -> None:
    job = shared_api.apply(name="revoked-token", command="true")
    run = shared_api.start(job)
    made = make(shared_api)
    held = Api(shared_api.server, made["access_token"])
    assert held.request("GET", f"/api/runs/{run['id']}/log").status_code == 200
    shared_api.request("DELETE", f"/api/tokens/{made['id']}")
    streams = (
        f"/api/runs/{run['id']}/log?follow=1",
        f"/dash/runs/{run['id']}/live",
        f"/dash/resources/job/{job}/live",
        "/dash/live",
    )
    for route in CLOSED:
        assert held.request(route.method, path_of(route.path)).status_code == 401
    for path in streams:
        answer = held.request("GET", path, allow_redirects=False, stream=True)
        assert answer.status_code in (401, 303)
        answer.close()


def test_a_bound_token_works_on_its_job_and_on_no_other(shared_api: Api) -> None:
    job = shared_api.apply(name="bound", command="echo bound", parameters={"x": 1})
    other = shared_api.apply(name="not-bound", command="true")
    other_run = shared_api.finished(shared_api.start(other)["id"])["id"]
    held = holding(shared_api, scope=bound(START_ONE, job))
    run = held.start(job, json={"parameters": {"x": 2}})
    assert held.finished(run["id"])["state"] == "succeeded"
    assert held.log(run["id"]) == "bound\n"
    listed = held.request("GET", f"/api/jobs/{job}/runs").json()["runs"]
    assert [each["id"] for each in listed] == [run["id"]]
    assert held.request("POST", f"/api/runs/{run['id']}/cancel").status_code == 200
    assert held.request("GET", "/api/recipes/job/bound").status_code == 200
    refused = [
        ("POST", f"/api/jobs/{other}/start"),
        ("GET", f"/api/jobs/{other}"),
        ("GET", "/api/recipes/job/not-bound"),
        ("GET", f"/api/jobs/{other}/runs"),
        ("GET", f"/api/runs/{other_run}"),
        ("GET", f"/api/runs/{other_run}/log"),
        ("GET", f"/api/runs/{other_run}/log?follow=1"),
        ("GET", f"/api/runs/{other_run}/lock"),
        ("POST", f"/api/runs/{other_run}/cancel"),
        ("GET", f"/dash/runs/{other_run}"),
        ("GET", f"/dash/runs/{other_run}/live"),
        ("GET", f"/dash/resources/job/{other}"),
        ("GET", f"/dash/resources/job/{other}/live"),
        ("GET", "/dash"),
        ("GET", "/dash/live"),
        ("GET", "/dash/tokens"),
        ("GET", "/api/jobs"),
        ("GET", "/api/runs"),
        ("GET", "/api/recipes"),
        ("GET", "/api/user"),
        ("GET", "/api/user/token"),
        ("POST", "/api/tokens"),
        ("GET", "/api/tokens"),
        ("POST", "/api/user/sign-in-link"),
        ("PATCH", f"/api/jobs/{job}"),
        ("DELETE", f"/api/jobs/{job}"),
        ("POST", f"/api/jobs/{job}/token"),
        ("GET", f"/api/jobs/{job}/webhooks"),
    ]
    for method, path in refused:
        answer = held.request(method, path, json={})
        assert answer.status_code == 403, (method, path, answer.status_code)


def test_a_page_of_a_job_shows_no_runs_to_a_token_that_may_not_read_them(shared_api: Api) -> None:
    job = shared_api.apply(name="page-by-token", command="true")
    held = holding(shared_api, scope=f"jobs:read:{job}")
    assert held.request("GET", f"/api/jobs/{job}").status_code == 200
    assert held.request("GET", f"/dash/resources/job/{job}").status_code == 403


def test_a_token_that_may_only_start_is_answered_but_learns_nothing_of_the_job(
    shared_api: Api,
) -> None:
    job = shared_api.apply(
        name="blind",
        command="echo a-secret-command",
        environment_variables={"KEY": "a-secret-value"},
        schedule="@daily",
        git_repositories=[],
    )
    held = holding(shared_api, scope=f"jobs:start:{job} runs:cancel:{job}")
    full = shared_api.request("GET", f"/api/jobs/{job}").json()
    for verb in ("start", "stop"):
        answer = held.request("POST", f"/api/jobs/{job}/{verb}")
        assert answer.status_code == 200
        assert set(answer.json()) - {"run"} == set(full) - {"contract", "contract_from"}
        assert "a-secret" not in answer.text
        assert "@daily" not in answer.text
    assert held.request("GET", f"/api/jobs/{job}").status_code == 403


def test_no_scoped_token_opens_a_session(shared_api: Api) -> None:
    for scope in (None, "user:token"):
        token = make(shared_api, scope=scope)["access_token"]
        login = {"username": "admin", "password": token}
        url = f"{shared_api.server.url}/api/auth/login"
        assert requests.post(url, json=login, timeout=20).status_code == 401
    held = holding(shared_api, scope="user:token")
    assert held.request("GET", "/api/tokens").status_code == 200
    for method, path in (("GET", "/api/user/token"), ("POST", "/api/user/sign-in-link")):
        assert held.request(method, path, json={}).status_code == 403
    assert held.request("POST", "/api/tokens", json={}).status_code == 422
    wider = held.request("POST", "/api/tokens", json={"scope": "runs:read"})
    assert (wider.status_code, list(wider.json()["details"])) == (422, ["scope"])


def test_the_last_use_is_noted_with_its_address(shared_api: Api) -> None:
    made = make(shared_api, scope="user:read")
    assert make(shared_api)["last_used_at"] is None
    Api(shared_api.server, made["access_token"]).request("GET", "/api/user")
    path = f"/api/tokens/{made['id']}"
    for _ in range(200):  # it is written behind the request
        noted = shared_api.request("GET", path).json()
        if noted["last_used_at"]:
            break
    assert noted["last_address"] == "127.0.0.1"
    assert noted["last_used_at"] >= made["created_at"]


@pytest.fixture
def waiting(shared_api: Api, meeting: Path) -> Iterator["Waiting"]:
    waiting = Waiting(shared_api, meeting)
    yield waiting
    waiting.end()


class Waiting:
    """Jobs whose runs show their own token and wait."""

    def __init__(self, api: Api, place: Path) -> None:
        self.api, self.place = api, place

    def apply(self, name: str, **spec: object) -> str:
        show = f"echo $RUNHOOK_TOKEN > {self.place}/new && mv {self.place}/new {self.place}/token"
        wait = f"while [ ! -e {self.place}/go ]; do sleep 0.05; done"
        return self.api.apply(name=name, command=f"{show}; echo up; {wait}", **spec)

    def itself(self, job: str) -> Api:
        """A new run of the job, as itself."""
        run = self.api.start(job)
        log = f"/api/runs/{run['id']}/log?follow=1"
        with self.api.request("GET", log, stream=True) as stream:
            assert any(b"up" in line for line in stream.iter_lines())
        return Api(self.api.server, (self.place / "token").read_text().strip())

    def end(self) -> None:
        (self.place / "go").touch()


def test_a_run_may_what_the_jobs_token_scope_says(waiting: Waiting) -> None:
    api = waiting.api
    other = api.apply(name="other-of-scoped", command="true")
    job = waiting.apply("scoped-run", token_scope=f"jobs:read jobs:start:{other}")
    itself = waiting.itself(job)
    assert itself.request("GET", f"/api/jobs/{job}").status_code == 200
    assert itself.request("POST", f"/api/jobs/{other}/start").status_code == 200
    assert itself.request("POST", f"/api/jobs/{job}/start").status_code == 403
    assert itself.request("GET", f"/api/jobs/{job}/runs").status_code == 403
    assert itself.request("GET", "/api/user/token").status_code == 403
    assert api.request("GET", f"/api/jobs/{job}").json()["warnings"] == []


def test_rotating_ends_the_tokens_that_runs_have(waiting: Waiting) -> None:
    api, job = waiting.api, waiting.apply("rotated-run")
    first = waiting.itself(job)
    path = f"/api/jobs/{job}/token"
    before = api.request("GET", path).json()
    assert set(before) == {"id", "scope"}
    assert before["scope"] is None
    assert first.request("GET", path).json() == before
    assert first.request("POST", path).status_code == 403
    rotated = api.request("POST", path).json()
    assert rotated["id"] != before["id"]
    assert first.request("GET", path).status_code == 401
    second = waiting.itself(job)
    narrowed = api.request("PATCH", path, json={"scope": f"runs:read:{job}"}).json()
    assert narrowed["scope"] == f"runs:read:{job}"
    assert second.request("GET", f"/api/jobs/{job}/runs").status_code == 401
    third = waiting.itself(job)
    assert third.request("GET", f"/api/jobs/{job}/runs").status_code == 200
    assert third.request("GET", path).status_code == 403
    spec = api.request("GET", "/api/recipes/job/rotated-run").json()["spec"]
    assert spec["token_scope"] == f"runs:read:{job}"
    assert api.request("PATCH", path, json={"scope": None}).json()["scope"] is None
    spec = api.request("GET", "/api/recipes/job/rotated-run").json()["spec"]
    assert "token_scope" not in spec


@pytest.mark.parametrize("scope", ["jobs:strat", "jobs:write", "user:token", "audit:read", ""])
def test_a_job_cannot_give_its_runs_more_than_runs_may(shared_api: Api, scope: str) -> None:
    job = shared_api.apply(name="greedy", command="true")
    spec = {"name": "greedy", "command": "true", "token_scope": scope}
    doors = [
        ("PUT", "/api/recipes", {"type": "job", "spec": spec}, "token_scope"),
        ("POST", "/api/jobs", {**spec, "name": "greedy-too"}, "token_scope"),
        ("PATCH", f"/api/jobs/{job}", {"token_scope": scope}, "token_scope"),
        ("PATCH", f"/api/jobs/{job}/token", {"scope": scope}, "scope"),
    ]
    for method, path, body, field in doors:
        answer = shared_api.request(method, path, json=body)
        assert answer.status_code == 422, (method, path, answer.text)
        assert list(answer.json()["details"]) == [field]
    assert shared_api.request("GET", f"/api/jobs/{job}").json()["version"] == 1


def test_what_a_scope_can_name_is_done_by_some_route_and_the_rest_takes_a_whole_credential(
    shared_api: Api,
) -> None:
    actions = {route.action for route in ROUTES} - {"public"}
    assert make(shared_api, scope=" ".join(sorted(SCOPE_ACTIONS)))
    assert actions - SCOPE_ACTIONS == {"users:write", "members:write"}
    assert actions > SCOPE_ACTIONS > RUN_SCOPES
