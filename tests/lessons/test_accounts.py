"""Rows about who gets in: open by default, other sites, and people who should be out."""

from pathlib import Path

import requests

from tests.conftest import PASSWORD, Api


def test_s3_signed_in_from_the_first_boot_and_foreign_names_are_not_answered(
    shared_api: Api,
) -> None:
    url = shared_api.server.url
    assert requests.get(f"{url}/api/jobs", timeout=20).status_code == 401
    for path in ("/api/status", "/api/jobs", "/dash/sign-in", "/static/runhook.css"):
        answer = shared_api.request("GET", path, headers={"Host": "rebound.example:8900"})
        assert answer.status_code == 403, path
        assert "access-control-allow-origin" not in answer.headers
    answer = requests.options(
        f"{url}/api/jobs",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        timeout=20,
    )
    assert "access-control-allow-origin" not in answer.headers


def test_s9_a_session_rides_for_no_other_site(shared_api: Api) -> None:
    """Cookie, Origin and form token: each alone is not enough."""
    url = shared_api.server.url
    body = {"username": "admin", "password": shared_api.token}
    answer = requests.post(f"{url}/api/auth/login", json=body, timeout=20)
    proof, own = {"X-CSRF-Token": answer.headers["X-CSRF-Token"]}, {"Origin": url}
    evil = {"Origin": "https://evil.example"}
    assert "SameSite=lax" in answer.headers["Set-Cookie"]
    for headers in ({}, own, proof, proof | evil, proof | own | {"Sec-Fetch-Site": "same-site"}):
        answer_to = requests.post(
            f"{url}/api/user/token", cookies=answer.cookies, headers=headers, timeout=20
        )
        assert answer_to.status_code == 403, headers
    as_cookie = {"runhook_session": shared_api.token, "Authorization": shared_api.token}
    assert requests.get(f"{url}/api/user", cookies=as_cookie, timeout=20).status_code == 401


def test_s12_whoever_is_revoked_is_out_at_the_next_request(shared_api: Api, meeting: Path) -> None:
    leaver = shared_api.person("s12-leaver", {"main/s12": "admin"})
    url = shared_api.server.url
    login = {"username": "s12-leaver", "password": PASSWORD}
    session = requests.post(f"{url}/api/auth/login", json=login, timeout=60).cookies
    job = leaver.apply(name="s12", command="sleep 600", owner="main/s12")
    told = meeting / "token"
    command = f'echo "$RUNHOOK_TOKEN" > {told}; echo told; sleep 600'
    mine = leaver.apply(name="s12-own", command=command)
    run = leaver.start(mine)
    with leaver.request("GET", f"/api/runs/{run['id']}/log?follow=1", stream=True) as stream:
        assert any(b"told" in text for text in stream.iter_lines())
    run_token = Api(shared_api.server, told.read_text().strip())
    assert run_token.request("GET", f"/api/jobs/{mine}").status_code == 200

    shared_api.request("DELETE", "/api/groups/s12/members/s12-leaver")
    assert leaver.request("GET", f"/api/jobs/{job}").status_code == 404
    shared_api.request("PATCH", "/api/users/s12-leaver", json={"locked": True})
    assert leaver.request("GET", "/api/user").status_code == 401
    assert run_token.request("GET", f"/api/jobs/{mine}").status_code == 401
    assert requests.get(f"{url}/api/user", cookies=session, timeout=20).status_code == 401
    again = requests.post(f"{url}/api/auth/login", json=login, timeout=60)
    assert again.status_code == 401
    shared_api.request("POST", f"/api/runs/{run['id']}/cancel")
    shared_api.finished(run["id"])
