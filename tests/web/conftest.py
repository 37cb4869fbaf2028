"""A real browser. A test fails on any console error, policy report or request to another host."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.conftest import Api
from tests.servers.system_parts import require

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --no-proxy-server"
).split()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path: Path = require("chromium")
    playwright: Playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(path), args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """Somebody at a browser, with a server's address."""

    page: Page
    api: Api

    def go(self, path: str) -> None:
        self.page.goto(self.api.server.url + path)

    def sign_in(self) -> None:
        link = self.api.request("POST", "/api/user/sign-in-link", json={"next": "/dash"}).json()
        self.page.goto(link["url"])
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/dash")


def visit(browser: Browser, api: Api, **options: object) -> Iterator[Visitor]:
    """A visitor; when the test is done, nothing may have gone wrong in the page."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    page = context.new_page()
    troubles: list[str] = []
    host = urlsplit(api.server.url).netloc

    def note(kind: str, text: str) -> None:
        # a wrong form is an answer, not a defect
        expected = "status of 422" in text or "status of 409" in text
        if kind in ("error", "warning") and not expected:
            troubles.append(text)

    def note_host(url: str) -> None:
        if urlsplit(url).netloc not in ("", host):
            troubles.append(url)

    page.on("console", lambda message: note(message.type, message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda each: note_host(each.url))
    yield Visitor(page, api)
    context.close()
    assert troubles == []


@pytest.fixture
def visitor(chromium: Browser, shared_api: Api) -> Iterator[Visitor]:
    yield from visit(chromium, shared_api)


@pytest.fixture
def visitor_without_scripts(chromium: Browser, shared_api: Api) -> Iterator[Visitor]:
    yield from visit(chromium, shared_api, java_script_enabled=False)
