"""Signing in through a real provider, in a real browser."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Api, _maker
from tests.servers.openid import MockProvider, mock_provider, oidc_settings

SETTINGS = {
    "client_id": "runhook",  # the package takes an id with blanks for another one
    "groups": "/science=data:editor",
    "allowed_domains": "example.org",
    "label": "Sign in with Example",
}


@dataclass
class Place:
    """A server, and the provider that its people sign in at."""

    api: Api
    provider: MockProvider


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("sso")
    with mock_provider(home / "provider.log") as provider:
        for make in _maker(home, home / "cache"):
            server = make(**oidc_settings(provider.issuer, **SETTINGS)).start()
            yield Place(Api(server, server.token()), provider)


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def page(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    """A browser that has been nowhere yet."""
    context = chromium.new_context(java_script_enabled=request.param)
    yield context.new_page()
    context.close()


def sign_in(page: Page, place: Place, subject: str, target: str = "/dash") -> None:
    page.goto(f"{place.api.server.url}{target}")
    page.get_by_role("link", name="Sign in with Example").click()
    page.get_by_placeholder("sub").fill(subject)
    page.get_by_role("button", name="Authorize").click()


def test_the_whole_way_in_and_out_and_in_again_with_other_groups(page: Page, place: Place) -> None:
    url = place.api.server.url
    claims = {
        "preferred_username": "ada",
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        "email_verified": True,
    }
    place.provider.put("ada", **claims, groups=["/science"])
    sign_in(page, place, "ada", "/dash/git")
    page.wait_for_url(f"{url}/dash/git")
    expect(page.get_by_role("banner")).to_contain_text("ada")
    page.goto(f"{url}/dash/audit")
    job = place.api.apply(name="of-the-group", owner="main/data", command="true")
    page.goto(f"{url}/dash/resources/job/{job}")
    expect(page.get_by_role("heading", level=1)).to_have_text("of-the-group")

    page.goto(f"{url}/dash/account/sso")
    expect(page.get_by_text("since")).to_be_visible()
    place.provider.put("ada", **claims, groups=[])
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, place, "ada")
    page.wait_for_url(f"{url}/dash")
    page.goto(f"{url}/dash/resources/job/{job}")
    expect(page.get_by_text("there is no job")).to_be_visible()


def test_no_at_the_provider_is_a_page_that_leads_back(page: Page, place: Place) -> None:
    page.goto(place.api.server.url)
    page.get_by_role("link", name="Sign in with Example").click()
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("alert")).to_contain_text("was told no")
    page.get_by_role("link", name="Other ways to sign in").click()
    expect(page.get_by_label("Password")).to_be_visible()


def test_an_address_that_is_not_vouched_for_or_elsewhere_stays_out(
    page: Page, place: Place
) -> None:
    place.provider.put("eve", preferred_username="eve", email="eve@example.org")
    place.provider.put(
        "bob", preferred_username="bob", email="bob@example.org.evil.test", email_verified=True
    )
    for subject in ("eve", "bob"):
        sign_in(page, place, subject)
        expect(page.get_by_role("alert")).to_contain_text("only people with certain addresses")


def test_an_account_is_linked_on_its_page(page: Page, place: Place, tmp_path: Path) -> None:
    url, subject = place.api.server.url, f"boss-{tmp_path.name}"
    place.provider.put(
        subject, preferred_username="boss", email="b@example.org", email_verified=True
    )
    link = place.api.request("POST", "/api/user/sign-in-link", json={}).json()["url"]
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/dash")
    page.goto(f"{url}/dash/account/sso")
    page.get_by_role("button", name="Link it").click()
    page.get_by_role("link", name="Go on to the provider").click()
    page.get_by_placeholder("sub").fill(subject)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{url}/dash/account/sso")
    expect(page.get_by_text(subject)).to_be_visible()
    page.get_by_role("button", name="Unlink").click()
    expect(page.get_by_role("button", name="Link it")).to_be_visible()
