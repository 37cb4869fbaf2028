"""The pages, in a real browser."""

import re
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect

from runhook.web.pages import PAGES
from tests.conftest import Repository
from tests.web.conftest import Visitor


def test_from_the_sign_in_link_to_a_started_run_and_its_live_line(
    visitor: Visitor, repository: Repository, meeting: Path
) -> None:
    repository.commit({"say.sh": "echo a line from git"})
    page = visitor.page
    visitor.sign_in()
    page.get_by_role("link", name="New job").first.click()
    page.get_by_label("Name", exact=True).fill("by-form")
    page.get_by_label("Run command").fill(
        f"bash materials/say.sh; while [ ! -e {meeting}/go ]; do sleep 0.05; done; echo done"
    )
    page.get_by_label("URL").first.fill(repository.url)
    page.get_by_label("Schedule").fill("@daily")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("by-form")
    expect(page.get_by_text("never started")).to_be_visible()

    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/dash/runs/*")
    log = page.locator("#log")
    expect(log).to_contain_text("a line from git")
    expect(page.get_by_role("status")).to_have_text("running")
    (meeting / "go").touch()
    expect(page.get_by_role("status")).to_have_text("succeeded")
    expect(log).to_contain_text("done")
    expect(page.locator("#head code").first).to_have_text(repository.git("rev-parse", "HEAD")[:10])
    expect(page.locator("#waterfall")).to_contain_text("checkout")
    assert "run 1" in page.title()


def test_stop_ends_a_run(visitor: Visitor) -> None:
    job = visitor.api.apply(name="endless", command="echo up; sleep 600")
    visitor.sign_in()
    visitor.go(f"/dash/resources/job/{job}")
    visitor.page.get_by_role("button", name="Start", exact=True).click()
    expect(visitor.page.locator("#log")).to_contain_text("up")
    visitor.page.get_by_role("button", name="Cancel").click()
    expect(visitor.page.get_by_role("status")).to_have_text("cancelled")
    expect(visitor.page.get_by_text("Cancelled by admin")).to_be_visible()


def test_everything_works_without_scripts(visitor_without_scripts: Visitor) -> None:
    visitor, page = visitor_without_scripts, visitor_without_scripts.page
    visitor.sign_in()
    visitor.go("/dash/jobs/new")
    page.get_by_label("Name", exact=True).fill("no-scripts")
    page.get_by_label("Run command").fill("printf 'plain \\033[31mred\\033[0m\\n10%%\\r100%%\\n'")
    page.get_by_role("button", name="Save and start").click()
    page.get_by_role("link", name=re.compile("queued|starting|running|succeeded")).first.click()
    run_id = page.url.rpartition("/")[2]
    visitor.api.finished(run_id)
    page.reload()
    expect(page.locator("#log")).to_have_text("plain red\n100%\n")
    expect(page.get_by_role("status")).to_have_text("succeeded")


def test_a_wrong_form_comes_back_with_sentences_and_what_was_typed(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.go("/dash/jobs/new")
    page = visitor.page
    page.get_by_label("Name", exact=True).fill("a name with blanks")
    page.get_by_label("Run command").fill("true")
    page.get_by_label("Parameters").fill("not json")
    with page.expect_response("**/dash/jobs/new") as answer:
        page.get_by_role("button", name="Save", exact=True).click()
    assert answer.value.status == 422
    expect(page.get_by_text("write JSON")).to_be_visible()
    page.get_by_label("Parameters").fill("")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#name-wrong")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("a name with blanks")


def test_parameters_are_asked_for_and_checked(visitor: Visitor) -> None:
    job = visitor.api.apply(
        name="asking", command="echo $region $year", parameters={"region": "north", "year": 2026}
    )
    visitor.sign_in()
    visitor.go(f"/dash/resources/job/{job}")
    page = visitor.page
    page.get_by_label("region").fill("007")
    page.get_by_label("year").fill("")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("takes a whole number, written as JSON, such as 2026")).to_be_visible()
    expect(page.get_by_label("region")).to_have_value("007")
    page.get_by_label("year").fill("2027")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#log")).to_contain_text("007 2027")


def test_colours_are_shown_and_other_sequences_dropped(visitor: Visitor) -> None:
    command = r"printf 'a\033[1;31mred\033[0m\033[2J\033]0;title\007b <script>x</script>\n'"
    job = visitor.api.apply(name="colourful", command=command)
    run = visitor.api.start(job)
    visitor.sign_in()
    visitor.go(f"/dash/runs/{run['id']}")
    log = visitor.page.locator("#log")
    expect(log).to_contain_text("aredb <script>x</script>")
    expect(log.locator(".fg1")).to_have_text("red")


def test_a_generated_key_shows_its_public_half_and_is_forgotten(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.go("/dash/git")
    page = visitor.page
    page.get_by_label("Name", exact=True).fill("deploy")
    page.get_by_label("For addresses under").fill("git@git.example.org:")
    page.get_by_role("button", name="Add").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="deploy"))
    expect(row.locator(".key")).to_contain_text("ssh-ed25519 ")
    row.get_by_role("button", name="Forget").click()
    expect(row).to_have_count(0)


def test_a_sign_in_link_works_once(visitor: Visitor) -> None:
    api = visitor.api
    link = api.request("POST", "/api/user/sign-in-link", json={}).json()["url"]
    for _ in range(2):
        assert requests.get(link, timeout=20).status_code == 200  # looking does not use it up
    query = dict(part.split("=") for part in link.partition("?")[2].split("&"))
    headers = {"Origin": api.server.url}
    url = f"{api.server.url}/dash/sign-in"
    form = {"link": query["link"], "next": "//evil.example"}
    first = requests.post(url, data=form, headers=headers, allow_redirects=False, timeout=20)
    assert (first.status_code, first.headers["Location"]) == (303, "/dash")
    assert "HttpOnly" in first.headers["Set-Cookie"]
    second = requests.post(url, data=form, headers=headers, allow_redirects=False, timeout=20)
    assert second.status_code == 401


CLOSED = [(method, path) for method, path, action, _ in PAGES if action != "public"]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_no_page_opens_without_signing_in(visitor: Visitor, method: str, path: str) -> None:
    url = visitor.api.server.url + re.sub(r"\{\w+\}", "0" * 32, path)
    answer = requests.request(method, url, allow_redirects=False, timeout=20)
    assert answer.status_code == (303 if method == "GET" else 401)


def test_a_session_is_useless_to_another_site(visitor: Visitor) -> None:
    visitor.sign_in()
    cookies = {each["name"]: each["value"] for each in visitor.page.context.cookies()}
    url = f"{visitor.api.server.url}/api/jobs"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ):
        answer = requests.post(url, json={}, cookies=cookies, headers=headers, timeout=20)
        assert answer.status_code == 403, headers
    assert requests.get(
        f"{visitor.api.server.url}/api/user/token", cookies=cookies, timeout=20
    ).json()


def test_a_missing_page_says_so(visitor: Visitor) -> None:
    visitor.sign_in()
    answer = requests.get(
        visitor.api.server.url + "/dash/runs/" + "0" * 32,
        cookies={each["name"]: each["value"] for each in visitor.page.context.cookies()},
        timeout=20,
    )
    assert answer.status_code == 404
    assert "There is no run" in answer.text


def test_saving_an_unchanged_form_changes_nothing_and_keeps_what_it_does_not_show(
    visitor: Visitor,
) -> None:
    spec = {
        "name": "untouched",
        "command": "true",
        "extra_packages": {"pip": {"install": "six  iniconfig"}, "conda": "numpy"},
        "git_repositories": [{"url": "https://git.example.org/a.git", "on_restart": "reclone"}],
        "schedule": "@daily",
        "tags": {"team": "reports"},
    }
    job = visitor.api.apply(**spec)
    visitor.sign_in()
    visitor.go(f"/dash/resources/job/{job}/edit")
    visitor.page.get_by_role("button", name="Save", exact=True).click()
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("untouched")
    recipe = visitor.api.request("GET", "/api/recipes/job/untouched").json()
    packages = {"pip": {"install": "six  iniconfig"}, "conda": {"install": "numpy"}}
    empty = {"instance_type": "", "image": ""}
    assert recipe["spec"] == {**empty, **spec, "extra_packages": packages, "owner": "main/admin"}
    assert visitor.api.request("GET", f"/api/jobs/{job}").json()["version"] == 1
    visitor.go(f"/dash/resources/job/{job}/edit")
    visitor.page.get_by_label("Schedule").fill("@hourly")
    visitor.page.get_by_role("button", name="Save", exact=True).click()
    expect(visitor.page.get_by_text("@hourly")).to_be_visible()
    changed = visitor.api.request("GET", "/api/recipes/job/untouched").json()["spec"]
    assert changed["schedules"] == [{"cron": "@hourly", "zone": "UTC"}]
    assert changed["git_repositories"] == spec["git_repositories"]


def test_rules_for_runs_are_chosen_in_the_form_and_kept(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.go("/dash/jobs/new")
    page = visitor.page
    page.get_by_label("Name", exact=True).fill("ruled")
    page.get_by_label("Run command").fill("exit 1")
    page.get_by_label("When others of its runs are active").select_option("queue")
    page.get_by_label("Runs at the same time").fill("2")
    page.get_by_label("Retries").fill("1")
    page.get_by_label("Delay before a retry").fill("1h")
    page.get_by_role("button", name="Save and start").click()
    page.wait_for_url("**/dash/resources/job/*")
    job = page.url.rpartition("/")[2]
    spec = visitor.api.request("GET", "/api/recipes/job/ruled").json()["spec"]
    assert (spec["overlap"], spec["max_running"]) == ("queue", 2)
    assert spec["retry"] == {"count": 1, "delay": "1h"}
    page.locator("#runs a").first.click()
    expect(page.get_by_text("In the queue: next; tried again at")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_have_text("cancelled")
    page.get_by_role("button", name="Pin").click()
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()
    visitor.api.request("DELETE", f"/api/jobs/{job}")


def test_a_schedule_shows_what_it_does_when_clocks_change_and_runs_as_of_the_past(
    visitor: Visitor,
) -> None:
    rule = {"cron": "30 2 * * *", "zone": "Europe/Berlin", "catch_up": "skip"}
    job = visitor.api.apply(name="nightly", command="echo $RUNHOOK_SCHEDULED_FOR", schedules=[rule])
    visitor.sign_in()
    visitor.go(f"/dash/resources/job/{job}")
    page = visitor.page
    page.get_by_text("When the clocks change").click()
    expect(page.get_by_text("forward. It fires")).to_be_visible()
    page.get_by_text("Run as of the past").click()
    page.get_by_label("From (UTC)").fill("2026-01-01T00:00")
    page.get_by_label("Until (UTC), not included").fill("2026-01-04T00:00")
    page.get_by_role("button", name="Run each fire once").click()
    page.wait_for_url("**/dash/resources/job/*")
    found = visitor.api.request("GET", f"/api/jobs/{job}/runs?trigger=backfill").json()["runs"]
    assert sorted(run["scheduled_for"][:16] for run in found) == [
        "2026-01-01T01:30", "2026-01-02T01:30", "2026-01-03T01:30",
    ]  # fmt: skip
    for run in found:
        visitor.api.finished(run["id"])
        assert visitor.api.log(run["id"]).strip() == run["scheduled_for"]
    visitor.go(f"/dash/runs/{found[0]['id']}")
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: found[0]["id"] not in url)
    again = visitor.api.finished(page.url.rpartition("/")[2])
    assert (again["trigger"], again["scheduled_for"]) == ("web", found[0]["scheduled_for"])
