"""People and groups in a real browser: from the invitation to a started run."""

import re

import requests
from playwright.sync_api import Browser, expect

from tests.conftest import PASSWORD, Api
from tests.web.conftest import Visitor, visit


def test_somebody_is_invited_sees_a_job_of_their_group_and_may_start_it_as_an_operator(
    visitor: Visitor, chromium: Browser
) -> None:
    admin, page = visitor.api, visitor.page
    admin.person("helper", {"main/walkers": "viewer"})
    job = admin.apply(name="walk", command="echo walked", owner="main/walkers")
    visitor.sign_in()
    page.get_by_role("link", name="People").click()
    invite = page.locator("form", has=page.get_by_role("heading", name="Invite somebody"))
    invite.get_by_label("Name", exact=True).fill("grace")
    invite.get_by_label("Full name").fill("Grace Hopper")
    invite.get_by_role("button", name="Invite").click()
    link = page.locator("#link").inner_text()
    _set_role(page, "walkers", "grace", "viewer")

    for guest in visit(chromium, admin):
        _arrive(guest, link)
        guest.page.get_by_role("link", name="walk").click()
        expect(guest.page.get_by_role("heading", level=1)).to_have_text("walk")
        expect(guest.page.get_by_role("button", name="Start")).to_have_count(0)
        expect(guest.page.get_by_role("link", name="Edit")).to_have_count(0)
        _set_role(page, "walkers", "grace", "operator")
        guest.page.reload()
        guest.page.get_by_role("button", name="Start", exact=True).click()
        expect(guest.page.locator("#log")).to_contain_text("walked")
        guest.go(f"/dash/resources/job/{job}")
        expect(guest.page.get_by_role("link", name="Edit")).to_have_count(0)
        guest.go("/dash/people")
        expect(guest.page.get_by_role("button", name="Invite")).to_have_count(0)


def _set_role(page: object, group: str, name: str, role: str) -> None:
    page.get_by_role("link", name="People").first.click()  # type: ignore[attr-defined]
    page.get_by_role("link", name=group).click()  # type: ignore[attr-defined]
    page.get_by_label("Name", exact=True).fill(name)  # type: ignore[attr-defined]
    page.get_by_label("Role").select_option(role)  # type: ignore[attr-defined]
    page.get_by_role("button", name="Set the role").click()  # type: ignore[attr-defined]
    row = page.get_by_role("row", name=re.compile(name))  # type: ignore[attr-defined]
    expect(row).to_contain_text(role)


def _arrive(guest: Visitor, link: str) -> None:
    """Set a password by the link, sign out, and come back with the password."""
    page = guest.page
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Set a password")
    page.get_by_label("Password", exact=True).fill("grace grace grace")
    page.get_by_label("The same again").fill("grace grace grace")
    page.get_by_role("button", name="Set it and sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("everybody would try this one first")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Set it and sign in").click()
    page.wait_for_url("**/dash")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name", exact=True).fill("grace")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/dash")


def test_the_account_page_ends_sessions_shows_the_token_and_shares(
    chromium: Browser, shared_api: Api
) -> None:
    owner = shared_api.person("account-owner")
    shared_api.person("account-friend")
    for visitor in visit(chromium, owner):
        other = requests.Session()
        body = {"username": "account-owner", "password": PASSWORD}
        other.post(f"{owner.server.url}/api/auth/login", json=body, timeout=60)
        page = visitor.page
        visitor.sign_in()
        page.get_by_role("link", name="account-owner").click()
        page.get_by_role("button", name="Show it").click()
        expect(page.locator("#token code")).to_have_text(owner.token)
        page.get_by_role("row", name=re.compile("python-requests")).get_by_role(
            "button"
        ).last.click()
        expect(page.get_by_role("row", name=re.compile("this one"))).to_be_visible()
        page.get_by_label("Name", exact=True).fill("account-friend")
        page.get_by_label("Role").select_option("operator")
        page.get_by_role("button", name="Set the role").click()
        expect(page.get_by_role("row", name=re.compile("account-friend"))).to_be_visible()
        page.get_by_label("Name", exact=True).fill("nobody-at-all")
        page.get_by_role("button", name="Set the role").click()
        expect(page.get_by_role("alert")).to_contain_text("there is nobody called 'nobody-at-all'")
    assert owner.request("GET", "/api/user/members").json()["members"][0]["role"] == "operator"


def test_a_job_is_made_for_a_group_in_the_form(chromium: Browser, shared_api: Api) -> None:
    editor = shared_api.person("form-editor", {"main/forms": "editor", "main/walkers": "viewer"})
    for visitor in visit(chromium, editor):
        visitor.sign_in()
        visitor.go("/dash/jobs/new")
        page = visitor.page
        expect(page.get_by_label("Belongs to").locator("option")).to_have_text(
            ["main/form-editor", "main/forms"]
        )
        page.get_by_label("Name", exact=True).fill("ours")
        page.get_by_label("Run command").fill("true")
        page.get_by_label("Belongs to").select_option("main/forms")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("ours")
        expect(page.get_by_text("main/forms")).to_be_visible()
