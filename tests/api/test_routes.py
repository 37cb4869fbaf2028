"""The table of routes: who gets in, what the document says, and how refusals look."""

import re

import pytest
import requests

from runhook.api.document import document
from runhook.api.routes import ROUTES
from runhook.gate import PUBLIC
from tests.conftest import Api

PUBLIC_API = {
    "/api/status",
    "/api/openapi.json",
    "/api/docs",
    "/api/auth/login",
    "/api/auth/logout",
    "/api/auth/token",
    "/api/hooks/{job_id}/{name}",
}
NOBODY = "0" * 32
CLOSED = [route for route in ROUTES if route.path not in PUBLIC_API]


def path_of(template: str) -> str:
    return re.sub(r"\{recipe_type\}", "job", re.sub(r"\{(?!recipe_type)\w+\}", NOBODY, template))


def test_the_public_part_of_the_api_is_this_list() -> None:
    assert {path for path in PUBLIC if path.startswith("/api")} == PUBLIC_API


def test_what_is_public_but_signed_answers_401_by_itself(shared_api: Api) -> None:
    """Exactly the routes of the public list may be reached: all others are in CLOSED."""
    assert {route.path for route in ROUTES} - {route.path for route in CLOSED} == PUBLIC_API
    url = f"{shared_api.server.url}/api/hooks/{NOBODY}/name"
    for headers in ({}, {"Authorization": f"token {shared_api.token}"}):
        assert requests.post(url, headers=headers, timeout=20).status_code == 401
        grant = {"grant_type": "refresh_token", "refresh_token": NOBODY}
        refresh = f"{shared_api.server.url}/api/auth/token"
        assert requests.post(refresh, headers=headers, json=grant, timeout=20).status_code == 401


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"token {NOBODY}"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Authorization": "token"},
        {"Authorization": "token rhr_" + "a" * 64},
        {"Cookie": "runhook_session=nonsense"},
    ],
    ids=["nothing", "unknown token", "basic", "empty token", "forged run token", "forged session"],
)
def test_without_a_valid_credential_every_route_answers_401(
    shared_api: Api, route: object, headers: dict[str, str]
) -> None:
    method, path = route.method, path_of(route.path)  # type: ignore[attr-defined]
    url = shared_api.server.url + path
    answer = requests.request(method, url, headers=headers, data="not json {", timeout=20)
    assert answer.status_code == 401
    assert set(answer.json()) == {"message", "code", "hint", "details"}
    assert "token" in answer.json()["hint"] or "Sign in" in answer.json()["hint"]


@pytest.mark.parametrize(
    "path",
    [
        *("/api/nope", "/api/jobs/x.json", "/api/jobs/../status/x", "/api/status/", "/metrics"),
        *("/api/hooks", "/api/hooks/x", "/api/hooks/x/", "/api/hooks/x/y/z", "/api/hooks//y"),
        *("/api/hooks/{job_id}/{name}/", "/x/api/hooks/x/y", "/api/hooks/x/..%2f..%2fjobs"),
    ],
)
def test_no_suffix_or_detour_opens_a_door(shared_api: Api, path: str) -> None:
    assert requests.get(shared_api.server.url + path, timeout=20).status_code == 401


@pytest.mark.parametrize(
    "route",
    [route for route in CLOSED if "{" in route.path],
    ids=lambda route: f"{route.method} {route.path}",
)
def test_what_is_not_there_is_a_404_with_a_sentence(shared_api: Api, route: object) -> None:
    answer = shared_api.request(route.method, path_of(route.path), json={})  # type: ignore[attr-defined]
    assert answer.status_code == 404, answer.text
    assert answer.json()["code"] == "not_found"


def test_the_document_describes_every_route_and_nothing_else(shared_api: Api) -> None:
    described = requests.get(shared_api.server.url + "/api/openapi.json", timeout=20).json()
    assert described == document(ROUTES)
    listed = {
        (method.upper(), path) for path, each in described["paths"].items() for method in each
    }
    named = {(route.method, route.path.replace(":path}", "}")) for route in ROUTES}
    assert listed == named
    references = set(
        re.findall(r'"#/components/schemas/([^"]+)"', str(described).replace("'", '"'))
    )
    assert references <= set(described["components"]["schemas"])
    assert described["openapi"].startswith("3.1")
    names = [each["operationId"] for path in described["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))


def test_the_readable_page_loads_nothing_from_elsewhere(shared_api: Api) -> None:
    page = requests.get(shared_api.server.url + "/api/docs", timeout=20).text
    assert all(route.summary in page for route in ROUTES)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)


@pytest.mark.parametrize(
    "value", ["token {}", "Token   {}", "bearer {}", "BEARER\t{}", "token {} "]
)
def test_the_authorization_header_may_be_written_in_any_case_and_spacing(
    shared_api: Api, value: str
) -> None:
    headers = {"Authorization": value.format(shared_api.token)}
    answer = requests.get(shared_api.server.url + "/api/user", headers=headers, timeout=20)
    assert answer.status_code == 200


def test_a_wrong_method_is_told_the_right_ones(shared_api: Api) -> None:
    answer = shared_api.request("DELETE", "/api/jobs")
    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_a_body_that_is_not_json_is_malformed(shared_api: Api) -> None:
    job = shared_api.apply(name="bodies", command="true")
    deep = f'{{"parameters": {"[" * 101}{"]" * 101}}}'
    for body in ("{", "[1]", '"x"', "NaN", "[" * 100_000, deep, '{"parameters": {"x": 1e999}}'):
        answer = shared_api.request("POST", f"/api/jobs/{job}/start", data=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), body[:20]


def test_a_body_that_is_too_large_is_refused(shared_api: Api) -> None:
    answer = shared_api.request("POST", "/api/jobs", data="x" * (5 * 1024 * 1024))
    assert answer.status_code == 413


def test_a_foreign_host_name_is_refused_on_loopback(shared_api: Api) -> None:
    answer = shared_api.request("GET", "/api/jobs", headers={"Host": "evil.example:8900"})
    assert answer.status_code == 403
