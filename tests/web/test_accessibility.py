"""No page keeps anybody out: axe finds nothing, light or dark, wide or narrow; the keyboard and a
browser without scripts reach everything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Api
from tests.web.conftest import Visitor, visit
from tests.web.world import World, page_rows

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 800}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ROWS = page_rows()


@pytest.fixture(scope="module")
def world(shared_api: Api) -> World:
    return World.of(shared_api)


@pytest.fixture(scope="module")
def reader(chromium: Browser, shared_api: Api) -> Iterator[Visitor]:
    """Somebody who is signed in, for all tests here; nothing may go wrong on any page."""
    for each in visit(chromium, shared_api):
        each.sign_in()
        yield each


def violations(page: Page, **options: Any) -> list[str]:
    """What axe finds: the rule, where, and why."""
    page.evaluate("source => { if (!window.axe) (0, eval)(source) }", AXE)
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{each['id']} at {node['target']}: {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def judge(page: Page) -> list[str]:
    """Everything, wide and light; then what a scheme and a width can change."""
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    found = violations(page, runOnly={"type": "tag", "values": TAGS})
    contrast = {"type": "rule", "values": ["color-contrast"]}
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {each}" for each in violations(page, runOnly=contrast)]
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    rules = ["scrollable-region-focusable", "target-size", "color-contrast"]
    narrow = violations(page, runOnly={"type": "rule", "values": rules})
    found += [f"narrow: {each}" for each in narrow]
    width = page.evaluate("document.documentElement.scrollWidth")
    return [*found, *([f"360 px wide, it scrolls to {width} px"] if width > 360 else [])]


@pytest.mark.parametrize("row", ROWS)
def test_nothing_on_a_page_keeps_anybody_out(reader: Visitor, world: World, row: str) -> None:
    reader.go(world.address(row))
    assert judge(reader.page) == []


def test_what_stands_on_a_page_only_sometimes_does_not_either(
    reader: Visitor, world: World
) -> None:
    """A failed run, a form of parameters and the complaint about one."""
    page = reader.page
    reader.go(f"/dash/runs/{world.ids['failed']}")
    assert judge(page) == []
    reader.go(f"/dash/resources/job/{world.ids['asking']}")
    region = page.get_by_label("region")
    region.evaluate("field => field.add(new Option('west', '\"west\"', true, true))")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert judge(page) == []


@pytest.mark.parametrize("row", ROWS)
def test_the_keyboard_reaches_everything_in_the_order_of_the_page(
    reader: Visitor, world: World, row: str
) -> None:
    """Each press of Tab shows where it is, and nothing holds on to it."""
    reader.page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    reader.go(world.address(row))
    walked = reader.page.evaluate(REACHABLE)
    seen: list[str] = []
    for _ in range(min(walked["count"], 60)):
        reader.page.keyboard.press("Tab")
        found = reader.page.evaluate(FOCUSED)
        assert found["shown"], f"nobody sees where {found['what']} is"
        seen.append(found["what"])
    assert seen[0].startswith("A Skip to the content")
    assert len(set(seen)) == len(seen), "the keyboard comes round before it has been everywhere"


REACHABLE = """() => ({ count: [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]')]
    .filter((each) => each.checkVisibility({ visibilityProperty: true }) && each.tabIndex >= 0
        && !each.disabled && each.type !== 'radio').length })"""
FOCUSED = """() => {
    const each = document.activeElement, box = each.getBoundingClientRect();
    const path = [];
    for (let at = each; at.parentElement; at = at.parentElement)
        path.push([...at.parentElement.children].indexOf(at));
    const style = getComputedStyle(each);
    return { what: `${each.tagName} ${each.textContent.trim().slice(0, 30)} ${path}`,
        shown: box.width > 0 && style.outlineStyle !== 'none' && style.outlineWidth !== '0px' };
}"""


def test_every_page_says_where_one_is_without_scripts(
    chromium: Browser, shared_api: Api, world: World
) -> None:
    """A heading, a title of its own, and a main part; no script was needed for them."""
    for visitor in visit(chromium, shared_api, java_script_enabled=False):
        visitor.sign_in()
        titles: dict[str, str] = {}
        for row in ROWS:
            visitor.go(world.address(row))
            assert visitor.page.locator("main h1").count() == 1, row
            title = visitor.page.title()
            assert title.endswith("· Runhook"), row
            assert title not in titles, f"{row} is called as {titles.get(title)}"
            titles[title] = row


def test_nothing_moves_for_those_who_do_not_want_it(reader: Visitor, world: World) -> None:
    page = reader.page
    page.emulate_media(reduced_motion="reduce")
    reader.go("/dash")
    moving = "document.getElementById('moving').getAnimations({ subtree: true }).length"
    page.evaluate("document.body.insertAdjacentHTML('beforeend', STATE)".replace(
        "STATE", "'<span id=\"moving\" class=\"state running\">running</span>'"))  # fmt: skip
    assert page.evaluate(moving) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) == 1
