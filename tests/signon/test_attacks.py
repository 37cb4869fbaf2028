"""Answers of a sign-in provider that must open nothing, and what a good one opens."""

import base64
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc.jwk import RSAKey

from runhook.gate import PUBLIC
from tests.conftest import Api, MakeServer, _maker
from tests.servers.openid import OwnProvider, Wish, oidc_settings, own_provider

GROUPS = "scientists=data:editor, boss=data:admin, root=*:admin, ada=ada:viewer, odd=admin:admin"


@dataclass
class Site:
    """A server that signs people in at a provider of ours."""

    api: Api
    provider: OwnProvider

    @property
    def url(self) -> str:
        return self.api.server.url

    def begun(self, target: str = "/dash", browser: requests.Session | None = None) -> "Attempt":
        """A browser on its way to the provider."""
        browser = browser or requests.Session()
        answer = browser.get(
            f"{self.url}/dash/sign-in/sso",
            params={"next": target},
            allow_redirects=False,
            timeout=20,
        )
        assert answer.status_code == 303, answer.text
        return Attempt.of(self, browser, answer.headers["Location"], answer)

    def role(self, owner: str, name: str) -> tuple[str, str] | None:
        """The newest word of the audit log on somebody's role."""
        query = {"owner": owner, "kind": "member", "text": name}
        found = self.api.request("GET", "/api/audit", params=query).json()["entries"]
        if not found or found[0]["after"] is None:
            return None
        return found[0]["after"]["role"], found[0]["after"]["source"]

    def newest(self, **query: str) -> list[dict[str, object]]:
        return list(self.api.request("GET", "/api/audit", params=query).json()["entries"])


@dataclass
class Attempt:
    """One try to sign in, as the browser holds it."""

    site: Site
    browser: requests.Session
    address: str
    query: dict[str, str]
    first: requests.Response = field(repr=False)

    @classmethod
    def of(
        cls, site: Site, browser: requests.Session, address: str, first: requests.Response
    ) -> "Attempt":
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        return cls(site, browser, address, query, first)

    def code(self, **wish: object) -> str:
        """What the provider would send the browser back with."""
        name = f"code-{len(self.site.provider.codes)}-{self.query['state'][:8]}"
        nonce, challenge = self.query["nonce"], self.query["code_challenge"]
        self.site.provider.codes[name] = Wish(**{"nonce": nonce, "challenge": challenge, **wish})  # type: ignore[arg-type]
        return name

    def back(self, **query: str) -> requests.Response:
        """The browser comes back."""
        return self.browser.get(
            f"{self.site.url}/dash/sign-in/sso/callback",
            params={"state": self.query["state"], **query},
            allow_redirects=False,
            timeout=20,
        )

    def finished(self, **wish: object) -> requests.Response:
        return self.back(code=self.code(**wish))


def own(site: Site, browser: requests.Session) -> dict[str, str]:
    """What a page of ours sends with a form."""
    page = browser.get(f"{site.url}/dash", timeout=20).text
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert token, page
    return {"Origin": site.url, "X-CSRF-Token": token[1]}


def linking(site: Site, browser: requests.Session) -> tuple[Attempt, str]:
    """An attempt that links the account that the browser is signed in to, and its cookie."""
    page = browser.post(f"{site.url}/dash/account/sso", headers=own(site, browser), timeout=20)
    found = re.search(r'href="(http://127[^"]+)"', page.text)
    assert found, page.text
    cookie = browser.cookies["runhook_sign_on"]
    return Attempt.of(site, browser, html.unescape(found[1]), page), cookie


def is_signed_in(browser: requests.Session, site: Site) -> bool:
    answer = browser.get(f"{site.url}/dash", allow_redirects=False, timeout=20)
    return answer.status_code == 200


def refused(answer: requests.Response, status: int, words: str) -> None:
    """A page of ours with a sentence, and no session."""
    assert answer.status_code == status, answer.text
    assert words in answer.text, answer.text
    assert "You are not signed in" in answer.text
    assert "runhook_session" not in str(answer.headers.get("set-cookie"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("sign-on")
    with own_provider() as provider:
        for make in _maker(home, home / "cache"):
            server = make(**oidc_settings(provider.issuer, groups=GROUPS)).start()
            yield Site(Api(server, server.token()), provider)


def test_the_pages_of_a_sign_in_are_the_only_new_public_ones() -> None:
    assert {path for path in PUBLIC if path.startswith("/dash")} == {
        "/dash/sign-in",
        "/dash/sign-in/sso",
        "/dash/sign-in/sso/callback",
    }


def test_a_good_answer_makes_an_account_and_opens_it(site: Site) -> None:
    attempt = site.begun("/dash/jobs/new")
    assert attempt.address.startswith(site.provider.issuer + "/authorization_endpoint?")
    query = attempt.query
    assert query["redirect_uri"] == f"{site.url}/dash/sign-in/sso/callback"
    assert (query["code_challenge_method"], query["response_type"]) == ("S256", "code")
    claims = {"sub": "s-new", "preferred_username": "Grace.Hopper@example.org", "name": "Grace"}
    info = {"sub": "s-new", "email": "grace@example.org", "email_verified": True}
    answer = attempt.finished(claims=claims, userinfo=info)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dash/jobs/new"), answer.text
    assert is_signed_in(attempt.browser, site)
    created = site.newest(action="user.created", text="grace-hopper")[0]
    assert created["after"] == {
        "email": "grace@example.org",
        "full_name": "Grace",
        "admin": False,
        "disabled": False,
        "provider": site.provider.issuer,
    }
    again = site.begun()
    assert again.finished(claims=claims, userinfo=info).status_code == 303
    assert len(site.newest(action="user.created", text="grace-hopper")) == 1
    opened = site.newest(action="session.opened", text="grace-hopper")
    assert [each["via"] for each in opened] == ["single sign-on"] * 2


FORGED = RSAKey.generate_key(2048, {"kid": "first"})


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"claims": {"nonce": "another"}}, "another attempt"),
        ({"without": ("nonce",)}, "another attempt"),
        ({"claims": {"aud": "somebody else"}}, "not for this server"),
        ({"claims": {"aud": []}}, "not for this server"),
        ({"without": ("aud",)}, "not for this server"),
        ({"claims": {"aud": ["runhook at test", "else"]}}, "for another"),
        ({"claims": {"aud": ["runhook at test", "else"], "azp": "else"}}, "for another"),
        ({"claims": {"azp": "else"}}, "for another"),
        ({"claims": {"exp": 1_000_000_000}}, "too old"),
        ({"claims": {"exp": "soon"}}, "too old"),
        ({"without": ("exp",)}, "too old"),
        ({"claims": {"iat": 33_000_000_000}}, "from the future"),
        ({"claims": {"nbf": 33_000_000_000}}, "from the future"),
        ({"claims": {"iss": "https://other.example.org"}}, "another provider"),
        ({"without": ("iss",)}, "another provider"),
        ({"without": ("sub",)}, "names nobody"),
        ({"claims": {"sub": 7}}, "names nobody"),
        ({"claims": {"sub": "x" * 256}}, "names nobody"),
        ({"claims": {"sub": "x\x00"}}, "names nobody"),
        ({"claims": {"deep": json.loads("[" * 900 + "]" * 900)}, "without": ("sub",)}, "nobody"),
        ({"token": f"{base64.urlsafe_b64encode(b'[' * 40_000).decode()}.e30.e30"}, "not good"),
        ({"algorithm": "none"}, "not good"),
        ({"algorithm": "none", "kid": None}, "not good"),
        ({"key": FORGED}, "not good"),
        ({"key": FORGED, "kid": None}, "not good"),
        ({"kid": "unknown"}, "unknown key"),
        ({"token": ""}, "not good"),
        ({"token": "a.b.c"}, "not good"),
        ({"token": "x" * 70_000}, "there is none"),
        ({"userinfo": {"sub": "somebody else"}}, "two people"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_a_token_that_is_not_good_opens_nothing(
    site: Site, wish: dict[str, object], words: str
) -> None:
    attempt = site.begun()
    refused(attempt.finished(**wish), 401, words)
    assert not is_signed_in(attempt.browser, site)


@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
def test_the_public_key_is_never_taken_for_a_shared_one(site: Site, algorithm: str) -> None:
    refused(site.begun().finished(algorithm=algorithm), 401, "not good")


def test_an_answer_is_good_once(site: Site) -> None:
    attempt = site.begun()
    kept = dict(attempt.browser.cookies)
    claims = {"sub": "s-once", "preferred_username": "once"}
    assert attempt.finished(claims=claims).status_code == 303
    thief = requests.Session()
    thief.cookies.update(kept)
    attempt.browser = thief
    refused(attempt.finished(claims=claims), 401, "used already")


def test_a_code_that_fails_uses_the_attempt_up(site: Site) -> None:
    attempt = site.begun()
    kept = dict(attempt.browser.cookies)
    refused(attempt.back(code="never given"), 401, "invalid_grant")
    attempt.browser.cookies.update(kept)
    refused(attempt.finished(), 401, "used already")


def test_an_answer_to_another_browser_opens_nothing(site: Site) -> None:
    """Signing somebody in as the attacker (login CSRF), or with a state that was seen."""
    attackers, victims = site.begun(), site.begun()
    code = attackers.code(claims={"sub": "attacker"})
    url = f"{site.url}/dash/sign-in/sso/callback"
    given = {"state": attackers.query["state"], "code": code}
    for browser in (victims.browser, requests.Session()):
        answer = browser.get(url, params=given, allow_redirects=False, timeout=20)
        refused(answer, 401, "not begun in this browser")
    without = attackers.browser.get(url, params={"code": code}, allow_redirects=False, timeout=20)
    refused(without, 401, "not begun in this browser")
    for forged in ("", "x", "é", "A" * 5000, "runhook_sign_on"):
        browser = requests.Session()
        headers = {"Cookie": f"runhook_sign_on={forged}".encode()}
        answer = browser.get(url, params=given, headers=headers, timeout=20)
        refused(answer, 401, "not begun in this browser")


def test_a_stolen_code_is_worthless_without_the_verifier(site: Site) -> None:
    victims, thiefs = site.begun(), site.begun()
    code = victims.code(claims={"sub": "victim"})
    refused(thiefs.back(code=code), 401, "invalid_grant")


def test_the_answer_of_another_provider_is_told_apart(site: Site) -> None:
    attempt = site.begun()
    code = attempt.code()
    refused(
        attempt.back(code=code, iss="https://evil.example.org"), 401, "another sign-in provider"
    )
    assert site.begun().finished().status_code == 303
    attempt = site.begun()
    assert attempt.back(code=attempt.code(), iss=site.provider.issuer).status_code == 303


@pytest.mark.parametrize(
    "target",
    [
        *("https://evil.example.org", "//evil.example.org", "/\\evil.example.org"),
        *("/dash//evil.example.org", "/dash\\..\\x", "javascript:alert(1)"),
    ],
)
def test_it_leads_to_pages_of_ours_only(site: Site, target: str) -> None:
    answer = site.begun(target).finished(claims={"sub": "s-next", "preferred_username": "nexta"})
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/dash"


def test_the_cookie_is_for_this_browser_and_tells_nothing(site: Site) -> None:
    attempt = site.begun()
    cookie = attempt.first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Max-Age=600" in cookie
    for secret in ("state", "nonce"):
        assert attempt.query[secret] not in cookie
    assert "Max-Age=0" in attempt.finished().headers["set-cookie"]


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ("access_denied", 403, "was told no"),
        ("server_error", 401, "server_error"),
        ("<script>call 555</script>", 401, "(no code)"),
        ("", 401, "no code"),
    ],
)
def test_what_the_provider_does_not_grant_is_told(
    site: Site, error: str, status: int, words: str
) -> None:
    refused(site.begun().back(error=error), status, words)


def test_the_host_of_a_request_never_reaches_the_provider(site: Site) -> None:
    port = urlsplit(site.url).port
    answer = requests.get(
        f"{site.url}/dash/sign-in/sso",
        headers={"Host": f"localhost:{port}", "X-Forwarded-Host": "evil.example.org"},
        allow_redirects=False,
        timeout=20,
    )
    asked = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert asked["redirect_uri"] == [f"{site.url}/dash/sign-in/sso/callback"]


def test_a_name_that_somebody_has_is_never_taken_over(site: Site) -> None:
    claims = {"sub": "s-admin", "preferred_username": "admin", "email": "admin@example.org"}
    refused(site.begun().finished(claims=claims), 409, "would be called admin")
    for name in (7, "___", "é"):
        claims = {"sub": "s-nameless", "preferred_username": name}
        refused(site.begun().finished(claims=claims), 403, "oidc.name_claim")


def test_roles_come_and_go_with_the_groups(site: Site) -> None:
    def sign_in(*groups: str) -> requests.Session:
        claims = {"sub": "s-ada", "preferred_username": "lovelace", "groups": list(groups)}
        attempt = site.begun()
        answer = attempt.finished(claims=claims)
        assert answer.status_code == 303, answer.text
        return attempt.browser

    assert site.newest(kind="group") == []
    browser = sign_in("scientists", "others", "odd")
    assert site.role("main/data", "lovelace") == ("editor", "sso")
    assert [each["object_name"] for each in site.newest(kind="group")] == ["data"]
    assert site.role("main/admin", "lovelace") is None  # a person's things are shared by them alone
    made = browser.post(
        f"{site.url}/api/jobs",
        json={"name": "shared", "command": "true", "owner": "main/data"},
        headers=own(site, browser),
        timeout=20,
    )
    assert made.status_code == 201, made.text
    sign_in("boss", "scientists")
    assert site.role("main/data", "lovelace") == ("admin", "sso")
    browser = sign_in()
    assert site.role("main/data", "lovelace") is None
    gone = browser.get(f"{site.url}/api/jobs/{made.json()['id']}", timeout=20)
    assert gone.status_code == 404


def test_an_administrator_is_one_while_the_provider_says_so(site: Site) -> None:
    def sign_in(*groups: str) -> int:
        claims = {"sub": "s-root", "preferred_username": "super-user", "groups": list(groups)}
        attempt = site.begun()
        assert attempt.finished(claims=claims).status_code == 303
        return attempt.browser.get(f"{site.url}/api/retention", timeout=20).status_code

    assert [sign_in(), sign_in("root"), sign_in("root"), sign_in()] == [403, 200, 200, 403]
    changes = site.newest(action="user.changed", text="super-user")
    assert [each["after"] for each in changes] == [{"admin": False}, {"admin": True}]


def test_an_account_is_linked_while_signed_in_and_unlinked(site: Site) -> None:
    browser = requests.Session()
    link = site.api.request("POST", "/api/user/sign-in-link", json={}).json()["url"]
    token = parse_qs(urlsplit(link).query)["link"][0]
    origin = {"Origin": site.url}
    form = {"link": token, "next": "/dash"}
    browser.post(f"{site.url}/dash/sign-in", data=form, headers=origin, timeout=20)
    claims = {"sub": "s-link", "preferred_username": "whoever"}
    answer = linking(site, browser)[0].finished(claims=claims)
    assert (answer.status_code, answer.headers.get("Location")) == (303, "/dash/account/sso")
    assert "s-link" in browser.get(f"{site.url}/dash/account/sso", timeout=20).text
    other = site.begun()
    assert other.finished(claims=claims).status_code == 303
    user = other.browser.get(f"{site.url}/api/user", timeout=20).json()
    assert user["username"] == "admin"
    answer = browser.post(
        f"{site.url}/dash/account/sso/delete", headers=own(site, browser), timeout=20
    )
    assert answer.ok
    assert site.newest(action="identity.unlinked")[0]["object_name"] == "admin"
    assert site.begun().finished(claims=claims).status_code == 303
    assert site.newest(action="user.created")[0]["object_name"] == "whoever"


def test_linking_needs_the_session_that_began_it(site: Site) -> None:
    one, other = site.begun(), site.begun()
    one.finished(claims={"sub": "s-one", "preferred_username": "one"})
    other.finished(claims={"sub": "s-two", "preferred_username": "two"})
    attempt, cookie = linking(site, one.browser)
    attempt.browser = other.browser
    other.browser.cookies.set("runhook_sign_on", cookie, domain="127.0.0.1", path="/")
    refused(attempt.finished(claims={"sub": "s-three"}), 401, "no longer signed in")
    attempt, _ = linking(site, one.browser)
    refused(attempt.finished(claims={"sub": "s-two"}), 409, "belongs to another account")
    foreign = {**own(site, one.browser), "Origin": "https://evil.example.org"}
    answer = one.browser.post(f"{site.url}/dash/account/sso", headers=foreign, timeout=20)
    assert answer.status_code == 403


def test_new_keys_of_the_provider_are_found(site: Site) -> None:
    """Its keys are asked for again for an unknown one, but not for each of them."""
    new = RSAKey.generate_key(2048, {"kid": "second"})
    before = site.provider.asked.count("jwks_uri")
    for _ in range(3):
        refused(site.begun().finished(key=new, kid="second"), 401, "unknown key")
    assert site.provider.asked.count("jwks_uri") <= before + 1
    assert site.provider.asked.count("openid-configuration") == 1


def test_a_provider_that_is_down_or_differs_is_a_page_with_a_sentence(
    make_server: MakeServer,
) -> None:
    with own_provider() as provider:
        provider.discovery = {"issuer": "https://elsewhere.example.org"}
        server = make_server(**oidc_settings(provider.issuer)).start()
        url = f"{server.url}/dash/sign-in/sso"
        for change, words in (
            ({"issuer": "https://elsewhere.example.org"}, "elsewhere.example.org"),
            ({"token_endpoint": "ftp://127.0.0.1/x"}, "token_endpoint"),
            ({"jwks_uri": None}, "jwks_uri"),
            ({"jwks_uri": 7}, "jwks_uri"),
        ):
            provider.discovery = change
            refused(requests.get(url, timeout=20), 503, words)
        provider.discovery = {}
        assert Site(Api(server, ""), provider).begun()
    other = make_server("other", **oidc_settings(provider.issuer)).start()
    refused(requests.get(f"{other.url}/dash/sign-in/sso", timeout=20), 503, "cannot be used")


def test_without_a_provider_there_is_no_such_page(shared_api: Api) -> None:
    for path in ("sso", "sso/callback"):
        answer = requests.get(f"{shared_api.server.url}/dash/sign-in/{path}", timeout=20)
        assert answer.status_code == 404
    page = requests.get(f"{shared_api.server.url}/dash/sign-in", timeout=20).text
    assert "/dash/sign-in/sso" not in page
