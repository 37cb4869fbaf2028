"""The log viewer, in a real browser: a million lines, following, searching, and without scripts."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Api
from tests.web.conftest import Visitor

MILLION = 1_000_000


@pytest.fixture(scope="module")
def long_run(shared_api: Api) -> str:
    """A run with a million lines, of which one tells of an error."""
    command = f"seq -f 'line %.0f of many' {MILLION} | sed '700000s/$/ ValueError: \\x1b[31mred/'"
    run = shared_api.start(shared_api.apply(name="log-million", command=command))["id"]
    assert shared_api.finished(run)["state"] == "succeeded"
    return str(run)


def line(page: Page, number: int) -> object:
    return page.locator(f'#log .line:has([data-n="{number}"])')


def test_a_million_lines_are_smooth_and_few_of_them_are_in_the_page(
    visitor: Visitor, long_run: str
) -> None:
    page = visitor.page
    visitor.sign_in()
    visitor.go(f"/dash/runs/{long_run}")
    expect(line(page, MILLION)).to_have_text(f"line {MILLION} of many")
    page.locator("#log").focus()
    page.keyboard.press("Home")
    expect(line(page, 1)).to_have_text("line 1 of many")
    expect(page.get_by_role("button", name="Follow the end")).to_be_visible()
    page.locator("#log").hover()
    for _ in range(10):
        page.mouse.wheel(0, 400)
    expect(line(page, 201)).to_be_visible()
    page.locator("#log").evaluate("each => { each.scrollTop = each.scrollHeight / 2 }")
    expect(page.locator("#log")).to_contain_text("line 50")
    slowest = page.evaluate(SCROLLING)
    assert slowest < 400, f"a frame took {slowest} ms"
    assert page.locator("#log *").count() < 500
    page.get_by_role("button", name="Follow the end").click()
    expect(line(page, MILLION)).to_be_visible()


SCROLLING = """async () => {
    const box = document.getElementById('log'), frames = [];
    const frame = () => new Promise(requestAnimationFrame);
    for (let step = 0, last = performance.now(); step < 30; step++) {
        box.scrollTop = (step * 977 % 30) / 30 * box.scrollHeight;
        await frame();
        frames.push(performance.now() - last);
        last = performance.now();
    }
    return Math.max(...frames);
}"""


def test_any_line_has_an_address_and_is_found_by_what_it_says(
    visitor: Visitor, long_run: str
) -> None:
    page = visitor.page
    visitor.sign_in()
    visitor.go(f"/dash/runs/{long_run}#L123456")
    expect(line(page, 123_456)).to_have_text("line 123456 of many")
    expect(line(page, 123_456)).to_have_class(re.compile("marked"))
    page.get_by_role("searchbox", name="Look for").fill("LINE 77777")
    page.keyboard.press("Enter")
    expect(page.locator("#log-told")).to_have_text("Line 777,770")
    expect(line(page, 777_770).locator("mark")).to_have_text("line 77777")
    assert page.url.endswith("#L777770")
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#log-told")).to_have_text("Line 77,777")
    page.get_by_label("regular expression").check()
    page.get_by_role("searchbox", name="Look for").fill(r"line (\d)\1{4}0 ")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#log-told")).to_have_text("Line 111,110", timeout=20_000)
    page.get_by_role("searchbox", name="Look for").fill("(")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#log-told")).to_contain_text("no regular expression")
    page.get_by_role("button", name="First error").click()
    expect(line(page, 700_000).locator(".fg1")).to_have_text("red")


def test_times_and_long_lines_are_shown_when_they_are_asked_for(visitor: Visitor) -> None:
    command = f"printf 'x%.0s' {{1..900}}; for i in {{1..40}}; do echo l$i; done; echo {'é' * 3}"
    run = visitor.api.start(visitor.api.apply(name="log-wide", command=command))["id"]
    visitor.api.finished(run)
    page = visitor.page
    visitor.sign_in()
    visitor.go(f"/dash/runs/{run}#L1")
    first = line(page, 1)
    expect(first).to_contain_text("xxx")
    before = first.bounding_box()["height"]
    page.get_by_role("button", name="Wrap").click()
    expect(page.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(f"document.querySelector('#log .line').offsetHeight > {before}")
    page.get_by_role("button", name="Times").click()
    expect(first.locator(".at")).to_have_attribute("data-at", re.compile(r"\d+:\d\d:\d\d"))
    page.locator("#log").scroll_into_view_if_needed()
    page.locator("#log").focus()
    page.keyboard.press("End")
    expect(line(page, 41)).to_be_in_viewport()
    expect(line(page, 41)).to_have_text("ééé")


def test_the_end_is_followed_until_somebody_scrolls_up(
    visitor: Visitor, meeting: Path, waiting: Callable[[str], str]
) -> None:
    page = visitor.page
    command = f"seq 300; {waiting('one')}; seq 301 600; {waiting('two')}; seq 601 900; echo last"
    run = visitor.api.start(visitor.api.apply(name="log-follow", command=command))["id"]
    visitor.sign_in()
    visitor.go(f"/dash/runs/{run}")
    page.locator("#log").scroll_into_view_if_needed()
    expect(line(page, 300)).to_be_in_viewport()
    page.locator("#log").hover()
    page.mouse.wheel(0, -2000)
    expect(line(page, 300)).to_have_count(0)
    expect(page.get_by_role("button", name="Follow the end")).to_be_visible()
    at = page.locator("#log .n").first.get_attribute("data-n")
    (meeting / "one").touch()
    expect(page.locator("#log")).to_have_attribute("data-total", "600")
    assert page.locator("#log .n").first.get_attribute("data-n") == at
    page.get_by_role("button", name="Follow the end").click()
    expect(line(page, 600)).to_be_in_viewport()
    (meeting / "two").touch()
    expect(line(page, 901)).to_have_text("last")
    expect(line(page, 901)).to_be_in_viewport()


@pytest.fixture
def waiting(meeting: Path) -> Callable[[str], str]:
    """A line of bash that waits for a file in the meeting's folder."""
    return lambda name: f"while [ ! -e {meeting}/{name} ]; do sleep 0.05; done"


def test_without_scripts_slices_lead_on_and_the_whole_is_searched(
    visitor_without_scripts: Visitor, long_run: str
) -> None:
    visitor, page = visitor_without_scripts, visitor_without_scripts.page
    visitor.sign_in()
    visitor.go(f"/dash/runs/{long_run}")
    page.get_by_role("link", name="earlier lines").click()
    expect(page.locator("#L1000000")).to_have_text("line 1000000 of many")
    page.get_by_role("link", name="Earlier", exact=True).click()
    expect(page.locator("#L999500")).to_have_count(1)
    page.get_by_role("link", name="First", exact=True).click()
    page.get_by_role("link", name="Later").click()
    expect(page.locator("#L501")).to_have_text("line 501 of many")
    page.get_by_role("searchbox", name="Look for").fill("line 4242")
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".marked")).to_have_text("line 4242 of many")
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".marked")).to_have_text("line 42420 of many")
    page.get_by_role("link", name="Previous").click()
    expect(page.locator(".marked")).to_have_text("line 4242 of many")
    page.get_by_role("link", name="First error").click()
    expect(page.locator(".marked")).to_have_text("line 700000 of many ValueError: red")
    page.get_by_role("searchbox", name="Look for").fill("nothing of this kind")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("status")).to_contain_text("No further line shows this")


def test_the_api_gives_slices_and_says_what_it_cannot_look_for(
    shared_api: Api, long_run: str
) -> None:
    path = f"/api/runs/{long_run}/log"
    found = shared_api.request("GET", f"{path}/lines?from=10&count=2&times=1").json()
    assert found["lines"] == ["line 10 of many", "line 11 of many"]
    assert (found["from"], found["total"], found["counted"]) == (10, MILLION, True)
    assert len(found["times"]) == 2
    refused = shared_api.request("GET", f"{path}/search?expression=1&text=(")
    assert refused.status_code == 422
    assert "no regular expression" in refused.json()["details"]["text"]
    assert shared_api.request("GET", f"{path}/lines?attempt=7").status_code == 404
