"""Signing in by name and password, sessions, and what slows guessing down."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.conftest import PASSWORD, Api, LiveServer, MakeServer
from tests.servers.openid import oidc_settings


def sign_in(api: Api, name: str, password: str, **headers: str) -> requests.Response:
    url, body = f"{api.server.url}/api/auth/login", {"username": name, "password": password}
    return requests.post(url, json=body, headers=headers, timeout=60)


def browser_of(api: Api, name: str, password: str = PASSWORD) -> requests.Session:
    """A session by name and password, with what it needs to change something."""
    answer = sign_in(api, name, password, **{"User-Agent": "A browser"})
    assert answer.status_code == 204
    browser = requests.Session()
    browser.cookies.update(answer.cookies)
    browser.headers.update(
        {"Origin": api.server.url, "X-CSRF-Token": answer.headers["X-CSRF-Token"]}
    )
    return browser


def test_a_session_is_opened_by_password_or_user_token(shared_api: Api) -> None:
    person = shared_api.person("signer")
    for name, password in (("signer", PASSWORD), ("signer", person.token), ("", person.token)):
        answer = sign_in(shared_api, name, password)
        assert answer.status_code == 204
        url = f"{shared_api.server.url}/api/user"
        found = requests.get(url, cookies=answer.cookies, timeout=20).json()
        assert found["username"] == "signer"
    assert sign_in(shared_api, "somebody-else", person.token).status_code == 401


def test_an_unknown_name_is_told_the_same_as_a_wrong_password(shared_api: Api) -> None:
    shared_api.person("known")
    known, unknown = (sign_in(shared_api, n, "a wrong password") for n in ("known", "unknown"))
    assert known.status_code == unknown.status_code == 401
    assert known.json() == unknown.json()


def test_a_session_changes_things_only_with_its_form_token(shared_api: Api) -> None:
    shared_api.person("prover")
    browser = browser_of(shared_api, "prover")
    url = f"{shared_api.server.url}/api/jobs"
    spec = {"name": "by-session", "command": "true"}
    other = browser_of(shared_api, "prover").headers["X-CSRF-Token"]
    for token in ("", "x", "ä", str(other)):
        answer = browser.post(
            url, json=spec, headers={"X-CSRF-Token": token.encode("latin-1")}, timeout=20
        )
        assert answer.status_code == 403, token
    assert browser.post(url, json=spec, timeout=20).status_code == 201


def test_sessions_are_listed_and_ended_one_by_one_and_all_others(shared_api: Api) -> None:
    api = shared_api.person("lister")
    api.request("DELETE", "/api/user/sessions")
    here, there, third = (browser_of(shared_api, "lister") for _ in range(3))
    url = f"{shared_api.server.url}/api/user/sessions"
    found = here.get(url, timeout=20).json()["sessions"]
    assert len(found) == 3
    assert {each["agent"] for each in found} == {"A browser"}
    assert {each["address"] for each in found} == {"127.0.0.1"}
    (mine,) = (each["id"] for each in found if each["current"])
    theirs = next(
        each["id"] for each in there.get(url, timeout=20).json()["sessions"] if each["current"]
    )
    assert mine != theirs
    assert here.delete(f"{url}/{theirs}", timeout=20).status_code == 204
    assert here.delete(f"{url}/{theirs}", timeout=20).status_code == 404
    assert there.get(url, timeout=20).status_code == 401
    stranger = shared_api.person("not-the-lister")
    assert stranger.request("DELETE", f"/api/user/sessions/{mine}").status_code == 404
    assert here.delete(url, timeout=20).status_code == 204
    assert third.get(url, timeout=20).status_code == 401
    assert here.get(url, timeout=20).status_code == 200


def test_a_new_password_ends_the_other_sessions_and_the_old_password(shared_api: Api) -> None:
    shared_api.person("changer")
    here, there = browser_of(shared_api, "changer"), browser_of(shared_api, "changer")
    url = f"{shared_api.server.url}/api/user"
    for body, field in (
        ({"current": "not the one", "new": "four quite plain words"}, "current"),
        ({"current": PASSWORD, "new": "short"}, "password"),
        ({"current": PASSWORD, "new": "changer changer"}, "password"),
        ({"current": PASSWORD, "new": "x" * 1025}, "password"),
    ):
        answer = here.post(f"{url}/password", json=body, timeout=60)
        assert (answer.status_code, set(answer.json()["details"])) == (422, {field})
    body = {"current": PASSWORD, "new": "four quite plain words"}
    assert here.post(f"{url}/password", json=body, timeout=60).status_code == 204
    assert here.get(url, timeout=20).status_code == 200
    assert there.get(url, timeout=20).status_code == 401
    assert sign_in(shared_api, "changer", PASSWORD).status_code == 401
    assert sign_in(shared_api, "changer", "four quite plain words").status_code == 204


def test_signing_out_ends_the_session_and_no_other_site_may_do_it(shared_api: Api) -> None:
    shared_api.person("leaver")
    browser = browser_of(shared_api, "leaver")
    base = shared_api.server.url
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    logout = f"{base}/api/auth/logout"
    assert browser.get(logout, headers=foreign, timeout=20).status_code == 403
    assert sign_in(shared_api, "leaver", PASSWORD, **foreign).status_code == 403
    cookies = dict(browser.cookies)
    assert browser.get(logout, allow_redirects=False, timeout=20).status_code == 302
    assert requests.get(f"{base}/api/user", cookies=cookies, timeout=20).status_code == 401


@pytest.mark.parametrize("name", ["guessed", "nobody-of-that-name"])
def test_guessing_is_made_to_wait_but_a_token_is_not(server: LiveServer, name: str) -> None:
    """After five in a row, whoever the name belongs to, many at once, and after a restart."""
    api = Api(server, server.token())
    person = api.person("guessed")
    with ThreadPoolExecutor(8) as pool:
        tries = pool.map(lambda _: sign_in(api, name, "a wrong password"), range(8))
        answers = sorted(each.status_code for each in tries)
    assert answers == [401] * 5 + [429] * 3
    port = server.port
    server.stop()
    server.start(port)
    late = sign_in(api, name, PASSWORD)
    assert (late.status_code, late.json()["code"]) == (429, "too_many_requests")
    assert 0 < int(late.headers["Retry-After"]) <= 32
    assert re.search(r"try again in \d+ second", late.json()["message"])
    form = {"name": name, "password": PASSWORD}
    page = requests.post(
        f"{server.url}/dash/sign-in", data=form, headers={"Origin": server.url}, timeout=20
    )
    assert (page.status_code, "Retry-After" in page.headers) == (429, True)
    assert sign_in(api, "guessed", person.token).status_code == 204
    assert sign_in(api, "guessed", PASSWORD).status_code == 204  # proved: a clean slate


def test_a_page_shows_where_a_browser_was_last_seen_without_waiting_for_it(
    shared_api: Api, tmp_path: Path
) -> None:
    """Seen is written once in five minutes: a second request changes nothing."""
    shared_api.person("seen")
    browser = browser_of(shared_api, "seen")
    url = f"{shared_api.server.url}/api/user/sessions"
    first = browser.get(url, timeout=20).json()["sessions"]
    assert first[0]["seen_at"] == first[0]["created_at"]
    assert browser.get(url, timeout=20).json()["sessions"] == first


def test_where_people_sign_in_through_their_provider_only_passwords_open_nothing(
    make_server: MakeServer,
) -> None:
    server = make_server(**oidc_settings("http://127.0.0.1:9", only="1")).start()
    api = Api(server, server.token())
    page = requests.get(f"{server.url}/dash/sign-in", timeout=20).text
    assert 'name="password"' not in page
    assert 'name="token"' in page
    assert sign_in(api, "admin", PASSWORD).status_code == 403
    assert sign_in(api, "admin", api.token).status_code == 204
    change = api.request("POST", "/api/user/password", json={"new": PASSWORD})
    assert change.status_code == 403
    assert "switched off" in change.json()["message"]


def test_a_token_with_a_scope_is_refused_before_its_guess_is_compared_or_counted(
    shared_api: Api,
) -> None:
    person = shared_api.person("guessed")
    wanted = {"description": "guesses", "scope": "user:token"}
    made = person.request("POST", "/api/tokens", json=wanted).json()
    scoped = Api(shared_api.server, made["access_token"])
    for guess in ("wrong " * 3, PASSWORD) * 12:
        body = {"current": guess, "new": "another " + PASSWORD}
        assert scoped.request("POST", "/api/user/password", json=body).status_code == 403
    assert sign_in(shared_api, "guessed", PASSWORD).status_code == 204
