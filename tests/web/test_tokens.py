"""The page of tokens and the job page's programs: in a browser, and really run."""

import html
import os
import re
import subprocess
import sys

import pytest
import requests
from playwright.sync_api import expect

from runhook.web.snippets import snippets
from tests.conftest import Api
from tests.web.conftest import Visitor

NASTY = {
    "quotes": """it's "quoted" `id` $(id) $HOME \\ \\n ${x}""",
    "lines": "one\ntwo\r\n\tthree\x01",
    "at": "@/etc/passwd",
    "html": "</pre><script>alert(1)</script>&amp;",
    "words": "ü 🙂 \u2028 '''",
    "bang": "!! !$",
    "empty": "",
    "number": 7,
    "tiny": 1e-7,
    "yes": True,
    "nothing": None,
    "nested": {"__proto__": [1, {"it's": False}], 'a"__proto__': None},
    "__proto__": "own",
}
PROGRAMS = {
    "curl": ("bash", "-euc"),
    "Python": (sys.executable, "-c"),
    "JavaScript": ("node", "--input-type=module", "-e"),
}


@pytest.mark.parametrize("language", PROGRAMS)
@pytest.mark.parametrize("made", [True, False], ids=["token in it", "token in the environment"])
def test_a_snippet_starts_the_job_with_exactly_these_parameters(
    shared_api: Api, language: str, made: bool
) -> None:
    job = shared_api.apply(name=f"snippet-{language}", command="true", parameters=NASTY)
    url = f"{shared_api.server.url}/api/jobs/{job}/start"
    changed = {**NASTY, "number": 8}  # not the defaults: what arrives was really sent
    token = shared_api.token if made else None
    (snippet,) = (each for each in snippets(url, changed, token) if each.language == language)
    run_it(snippet.code, language, {} if made else {"RUNHOOK_TOKEN": shared_api.token})
    newest = shared_api.request("GET", f"/api/jobs/{job}/runs").json()["runs"][0]
    assert newest["parameters"] == changed


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_snippet_of_a_job_without_parameters_starts_it(shared_api: Api, language: str) -> None:
    job = shared_api.apply(name=f"plain-snippet-{language}", command="true")
    url = f"{shared_api.server.url}/api/jobs/{job}/start"
    (snippet,) = (e for e in snippets(url, {}, shared_api.token) if e.language == language)
    assert "parameters" not in snippet.code
    run_it(snippet.code, language, {})
    assert len(shared_api.request("GET", f"/api/jobs/{job}/runs").json()["runs"]) == 1


def run_it(code: str, language: str, variables: dict[str, str]) -> None:
    command, *options = PROGRAMS[language]
    done = subprocess.run(
        [command, *options, code],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "no_proxy": "*", **variables},
    )
    assert done.returncode == 0, done.stderr
    assert "/dash/runs/" in done.stdout


def test_what_a_token_may_do_is_chosen_and_it_is_shown_once(visitor: Visitor) -> None:
    job = visitor.api.apply(name="chosen-in-form", command="true")
    other = visitor.api.apply(name="not-chosen", command="true")
    visitor.sign_in()
    page = visitor.page
    page.get_by_role("link", name="Tokens").click()
    page.get_by_label("What it is for").fill("the <b>nightly</b> build")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("tick at least one thing")).to_be_visible()
    expect(page.get_by_label("What it is for")).to_have_value("the <b>nightly</b> build")
    page.get_by_label("jobs:start").check()
    page.get_by_label("secrets:read").check()
    page.get_by_label("On which job").select_option(label="main/admin/chosen-in-form")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("secrets:read cannot be bound to one job")).to_be_visible()
    page.get_by_label("secrets:read").uncheck()
    page.get_by_role("button", name="Make it").click()
    token = page.locator("#made").inner_text()
    assert re.fullmatch(r"rht_[0-9A-Za-z]{36}", token)
    row = page.get_by_role("row").filter(has_text="the <b>nightly</b> build")
    expect(row).to_contain_text("jobs:start on chosen-in-form")
    expect(row).to_contain_text("never")
    held = Api(visitor.api.server, token)
    assert held.request("POST", f"/api/jobs/{job}/start").status_code == 200
    assert held.request("POST", f"/api/jobs/{other}/start").status_code == 403
    visitor.go("/dash/tokens")
    assert token not in page.content()
    row.get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    assert held.request("POST", f"/api/jobs/{job}/start").status_code == 401


def test_the_job_page_makes_a_token_and_its_curl_line_works(
    visitor_without_scripts: Visitor,
) -> None:
    visitor, page = visitor_without_scripts, visitor_without_scripts.page
    job = visitor.api.apply(name="by-program", command="true", parameters=NASTY)
    visitor.sign_in()
    visitor.go(f"/dash/resources/job/{job}")
    section = page.locator("#api")
    expect(section.locator("#start-url")).to_have_text(
        f"{visitor.api.server.url}/api/jobs/{job}/start"
    )
    expect(section.locator("pre").first).to_contain_text("token $RUNHOOK_TOKEN")
    section.get_by_role("button", name="Make a token for this job").click()
    curl = section.locator("pre").first.text_content() or ""
    assert re.search(r"token rht_[0-9A-Za-z]{36}", curl)
    run_it(curl, "curl", {})
    section.get_by_text("Python", exact=True).click()
    run_it(section.locator("pre").nth(1).text_content() or "", "Python", {})
    found = visitor.api.request("GET", f"/api/jobs/{job}/runs").json()["runs"]
    assert [each["parameters"] for each in found] == [NASTY, NASTY]
    visitor.go(f"/dash/resources/job/{job}")
    assert "rht_" not in page.content()
    visitor.go("/dash/tokens")
    expect(page.get_by_text("start by-program")).to_be_visible()


def test_copying_takes_the_whole_program(visitor: Visitor) -> None:
    job = visitor.api.apply(name="copied", command="true", parameters={"x": "it's\n<b>"})
    page = visitor.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.sign_in()
    visitor.go(f"/dash/resources/job/{job}")
    page.locator("#api").get_by_role("button", name="Copy").first.click()
    expect(page.locator("#api").get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#api pre").first.text_content()


def test_nothing_that_holds_a_token_is_stored_by_the_browser(visitor: Visitor) -> None:
    job = visitor.api.apply(name="no-store", command="true")
    visitor.sign_in()
    cookies = {each["name"]: each["value"] for each in visitor.page.context.cookies()}
    headers = {"Origin": visitor.api.server.url}
    csrf = visitor.page.locator("input[name=csrf]").first.input_value()
    form = {"description": "x", "action": "runs:read", "lasts": "7", "csrf": csrf}
    for path in (f"/dash/resources/job/{job}/token", "/dash/tokens"):
        answer = requests.post(
            visitor.api.server.url + path, data=form, cookies=cookies, headers=headers, timeout=20
        )
        assert answer.status_code == 200
        assert "rht_" in html.unescape(answer.text)
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"description": "x", "action": "jobs:strat", "lasts": "7"},
        {"description": "x", "action": "jobs:start", "lasts": "for ever"},
        {"description": "x", "action": "jobs:start", "lasts": "7", "job_id": "0" * 32},
        {"description": "x", "action": "jobs:start", "lasts": "7", "job_id": "a user:token"},
        {"description": "x", "reach": "everything", "action": "jobs:start", "lasts": "7"},
    ],
)
def test_a_form_that_asks_for_nonsense_makes_nothing(shared_api: Api, form: dict[str, str]) -> None:
    answer = shared_api.request("POST", "/dash/tokens", data=form)
    assert answer.status_code == 422
    assert "rht_" not in answer.text
