"""Pages across jobs, the tabs of a job, and what greets a newcomer, in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Response, expect

from tests.conftest import Api, MakeServer
from tests.security.cast import Browser
from tests.web.conftest import Visitor, visit

FIRST_VISIT = 100 * 1024


def test_runs_are_filtered_by_the_address_and_cancelled_together(visitor: Visitor) -> None:
    page, api = visitor.page, visitor.api
    job = api.apply(name="o-endless", command="sleep 600")
    failing = api.apply(name="o-failing", command="exit 4")
    api.finished(api.start(failing)["id"])
    for _ in range(2):
        api.start(job)
    visitor.sign_in()
    visitor.go(f"/dash/runs?job={failing}&state=failed")
    rows = page.get_by_role("row").filter(has_text="o-")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("the command exited with status 4")
    expect(page.get_by_label("failed")).to_be_checked()
    visitor.go(f"/dash/runs?job={job}")
    page.get_by_role("checkbox", name="Run 1 of o-endless").check()
    page.get_by_role("checkbox", name="Run 2 of o-endless").check()
    page.get_by_role("button", name="Cancel those that are ticked").click()
    expect(page).to_have_url(re.compile(f"/dash/runs\\?job={job}$"))
    found = api.request("GET", f"/api/jobs/{job}/runs").json()["runs"]
    ended = [api.finished(run["id"]) for run in found]
    assert [run["state"] for run in ended] == ["cancelled", "cancelled"]


def test_nobody_cancels_what_is_not_theirs_and_nothing_of_the_rest(shared_api: Api) -> None:
    job = shared_api.apply(name="o-foreign", command="sleep 600")
    run = str(shared_api.start(job)["id"])
    stranger = shared_api.person("o-stranger")
    mine = stranger.apply(name="o-own", command="sleep 600")
    own = str(stranger.start(mine)["id"])
    browser = Browser.of(stranger)
    assert browser.status("POST", "/dash/runs/cancel", {"run": [own, run]}) == 404
    assert stranger.run(own)["state"] != "cancelled"
    assert browser.status("POST", "/dash/runs/cancel", {"run": [own]}) == 303
    shared_api.request("POST", f"/api/runs/{run}/cancel")
    assert shared_api.finished(run)["state"] == "cancelled"
    assert stranger.finished(own)["state"] == "cancelled"


def test_what_fires_when_is_seen_across_jobs(visitor: Visitor) -> None:
    visitor.api.apply(name="o-hourly", command="true", schedules=[{"cron": "59 */6 * * *"}])
    visitor.sign_in()
    visitor.go("/dash/schedules")
    row = visitor.page.get_by_role("row").filter(has_text="o-hourly")
    expect(row.get_by_role("img", name="Fires 4 times in the next 24 hours")).to_be_visible()
    expect(visitor.page.locator(".fires li").filter(has_text="o-hourly")).to_have_count(4)


def test_the_system_says_how_it_is_to_administrators_alone(
    visitor: Visitor, shared_api: Api
) -> None:
    visitor.sign_in()
    visitor.go("/dash/system")
    row = visitor.page.get_by_role("row", name=re.compile("executor local"))
    expect(row).to_contain_text("runs can start")
    expect(visitor.page.get_by_text("free of")).to_be_visible()
    somebody = Browser.of(shared_api.person("o-somebody"))
    assert somebody.status("GET", "/dash/system", {}) == 403
    assert somebody.status("GET", "/dash/schedules", {}) == 200


def test_a_secret_is_attached_and_taken_away_on_the_tab_of_its_job(visitor: Visitor) -> None:
    page = visitor.page
    job = visitor.api.apply(name="o-secretive", command='echo "${#O_PASSWORD}"')
    visitor.sign_in()
    visitor.go(f"/dash/resources/job/{job}")
    page.get_by_role("navigation", name="o-secretive").get_by_role("link", name="Secrets").click()
    page.get_by_label("Variable, or path").fill("1st")
    page.get_by_label("Name").fill("o-password")
    page.get_by_label("Value").fill("a long value")
    with page.expect_response("**/secrets") as answer:
        page.get_by_role("button", name="Attach").click()
    assert answer.value.status == 422
    expect(page.get_by_role("alert")).to_contain_text("cannot be the name of a variable")
    assert "a long value" not in page.content()
    page.get_by_label("Variable, or path").fill("O_PASSWORD")
    page.get_by_label("Value").fill("a long value")
    page.get_by_role("button", name="Attach").click()
    expect(page.get_by_role("rowheader", name="O_PASSWORD")).to_be_visible()
    run = visitor.api.start(job)["id"]
    visitor.api.finished(run)
    assert "12" in visitor.api.log(run)
    page.get_by_role("button", name="Take away").click()
    expect(page.get_by_text("None. A secret is")).to_be_visible()


def test_a_job_is_taken_along_as_a_recipe_and_made_again(visitor: Visitor) -> None:
    page = visitor.page
    job = visitor.api.apply(name="o-original", command="echo as before", schedule="@yearly")
    visitor.sign_in()
    visitor.go(f"/dash/resources/job/{job}/manage")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the recipe").click()
    assert "echo as before" in Path(download.value.path()).read_text()
    page.get_by_role("link", name="Make another like it").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("o-original-copy")
    expect(page.get_by_label("Run command")).to_have_value("echo as before")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("o-original-copy")


def test_the_tab_of_the_browser_shows_the_state_and_an_end_elsewhere_is_told(
    visitor: Visitor, meeting: Path
) -> None:
    page = visitor.page
    command = f"while [ ! -e {meeting}/go ]; do sleep 0.05; done; exit 3"
    job = visitor.api.apply(name="0-first-of-all", command=command)
    run = visitor.api.start(job)["id"]
    visitor.sign_in()
    visitor.go(f"/dash/runs/{run}")
    icon = page.locator("link[rel=icon]")
    expect(icon).to_have_attribute("href", re.compile("favicon-running"))
    visitor.go("/dash")
    expect(page.get_by_role("row").filter(has_text="0-first-of-all")).to_contain_text("running")
    (meeting / "go").touch()
    page.get_by_role("link", name="0-first-of-all, run 1: failed").click()
    page.wait_for_url(f"**/dash/runs/{run}")
    expect(icon).to_have_attribute("href", re.compile("favicon-bad"))


@pytest.fixture
def newcomer(chromium: Chromium, make_server: MakeServer) -> Iterator[Visitor]:
    """Somebody on a server of their own, where there is nothing yet."""
    server = make_server("new").start()
    yield from visit(chromium, Api(server, server.token()))


def test_a_newcomer_is_led_to_an_example_and_its_result(newcomer: Visitor) -> None:
    page = newcomer.page
    sizes: list[int] = []

    def weigh(answer: Response) -> None:
        if "event-stream" not in answer.headers.get("content-type", ""):
            sizes.append(0 if 300 <= answer.status < 400 else len(answer.body()))

    page.on("response", weigh)
    newcomer.sign_in()
    page.get_by_role("button", name="Try the example").click()
    expect(page.get_by_text("This is a job")).to_be_visible()
    page.get_by_label("to").fill("2")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/dash/runs/*")
    expect(page.locator("#result pre")).to_contain_text('"counted": 2', timeout=90_000)
    expect(page.locator("#log .fg2")).to_have_text("done")
    expect(page.get_by_role("link", name="numbers.txt")).to_be_visible()
    assert 0 < sum(sizes[:8]) < FIRST_VISIT, "the first visit takes more than anybody waits for"
