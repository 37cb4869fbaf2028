"""What keeps other sites out: every form proves that it is ours; headers, cookies, host names."""

import re
import socket
from pathlib import Path

import pytest
import requests

from runhook.web.pages import PAGES
from tests.conftest import PASSWORD, Api, MakeServer
from tests.web.conftest import Visitor

TEMPLATES = Path(__file__).parents[2] / "src" / "runhook" / "web" / "templates"
POSTS = [path for method, path, *_ in PAGES if method == "POST" and path != "/dash/sign-in"]


@pytest.fixture(scope="session")
def browsers(shared_api: Api) -> list[requests.Session]:
    """Two sessions of the administrator, with the site's own Origin."""
    made = []
    for _ in range(2):
        browser = requests.Session()
        browser.headers["Origin"] = shared_api.server.url
        body = {"password": shared_api.token}
        url = f"{shared_api.server.url}/api/auth/login"
        browser.headers["X-CSRF-Token"] = browser.post(url, json=body, timeout=20).headers[
            "X-CSRF-Token"
        ]
        made.append(browser)
    return made


@pytest.mark.parametrize("path", POSTS)
def test_no_form_is_taken_without_the_token_of_its_session(
    shared_api: Api, browsers: list[requests.Session], path: str
) -> None:
    browser, other = browsers
    cookies = dict(browser.cookies)
    url = shared_api.server.url + re.sub(r"\{\w+\}", "0" * 32, path)
    headers = {"Origin": shared_api.server.url}
    foreign = str(other.headers["X-CSRF-Token"])
    for form in ({}, {"csrf": ""}, {"csrf": "ä"}, {"csrf": foreign}):
        answer = requests.post(url, data=form, cookies=cookies, headers=headers, timeout=20)
        assert (answer.status_code, "not one of this session" in answer.text) == (403, True), form
    own = {"csrf": str(browser.headers["X-CSRF-Token"])}
    evil = {"Origin": "https://evil.example"}
    answer = requests.post(url, data=own, cookies=cookies, headers=evil, timeout=20)
    assert (answer.status_code, "another site" in answer.text) == (403, True)


def test_the_token_of_the_session_opens_a_form(
    shared_api: Api, browsers: list[requests.Session]
) -> None:
    browser = browsers[0]
    form = {"csrf": str(browser.headers["X-CSRF-Token"]), "full_name": "Admin", "email": ""}
    url = f"{shared_api.server.url}/dash/account"
    headers = {"X-CSRF-Token": ""}
    answer = browser.post(url, data=form, headers=headers, allow_redirects=False, timeout=20)
    assert answer.status_code == 303


def test_every_form_of_the_templates_is_made_by_the_one_macro() -> None:
    """Only who signs in has no session yet whose token a form could carry."""
    plain = [
        path.name
        for path in TEMPLATES.rglob("*.html")
        if re.search(r"<form[^>]*post", path.read_text(encoding="utf-8"), re.IGNORECASE)
    ]
    assert sorted(plain) == ["parts.html", "sign_in.html"]


def test_signing_in_is_for_our_own_page(shared_api: Api) -> None:
    form = {"token": shared_api.token}
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        url = f"{shared_api.server.url}/dash/sign-in"
        assert requests.post(url, data=form, headers=headers, timeout=20).status_code == 403


def test_every_answer_brings_the_headers_that_browsers_obey(shared_api: Api) -> None:
    for path in ("/dash/sign-in", "/api/status", "/api/jobs", "/static/runhook.css", "/nowhere"):
        headers = requests.get(shared_api.server.url + path, timeout=20).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]
        assert headers["X-Frame-Options"] == "DENY"
        assert "Strict-Transport-Security" not in headers
        assert not any(name.lower().startswith("access-control") for name in headers)


def test_behind_a_proxy_with_tls_cookies_are_bound_to_the_host(make_server: MakeServer) -> None:
    server = make_server(
        RUNHOOK_SERVER_URL="https://jobs.example.org", RUNHOOK_SERVER_HOSTS="jobs.internal"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server.start(port)
    address = f"http://127.0.0.1:{port}"
    token = server.token()
    answer = requests.post(f"{address}/api/auth/login", json={"password": token}, timeout=20)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-runhook_session=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    value = cookie.partition("=")[2].partition(";")[0]
    for name, status in (("__Host-runhook_session", 200), ("runhook_session", 401)):
        headers = {"Cookie": f"{name}={value}"}
        assert (
            requests.get(f"{address}/api/user", headers=headers, timeout=20).status_code == status
        )
    for host, status in (
        ("jobs.example.org", 200),
        ("jobs.internal:443", 200),
        ("evil.example", 403),
    ):
        answer = requests.get(f"{address}/api/status", headers={"Host": host}, timeout=20)
        assert answer.status_code == status
    assert "RUNHOOK_SERVER_HOSTS" in answer.json()["hint"]


def test_somebody_who_is_signed_in_gets_the_token_in_every_form(visitor: Visitor) -> None:
    visitor.api.person("token-reader")
    visitor.sign_in()
    for path in ("/dash", "/dash/jobs/new", "/dash/git", "/dash/people", "/dash/account"):
        visitor.go(path)
        forms = visitor.page.locator("form[method=post]")
        assert forms.count() == visitor.page.locator("form[method=post] > input[name=csrf]").count()
        values = visitor.page.locator("input[name=csrf]").evaluate_all(
            "all => all.map(x => x.value)"
        )
        assert len(set(values)) == 1
        assert re.fullmatch("[0-9a-f]{64}", values[0])
    assert PASSWORD not in visitor.page.content()
