"""The form of a start by type, and what a run left, in a real browser."""

import json

from hypothesis import given
from playwright.sync_api import expect
from starlette.datastructures import FormData

from runhook.model.declaration import contract_of
from runhook.model.known_contract import KnownContract
from runhook.model.parameters import same
from runhook.web.start_form import fields, start_parameters
from tests.model.test_parameters import json_values
from tests.web.conftest import Visitor

DECLARED = {
    "text": "007",
    "count": {"type": "int", "default": 2, "min": 1, "help": "How many."},
    "share": 0.5,
    "dry": True,
    "mode": {"choices": ["fast", "slow"], "default": "fast"},
    "day": {"type": "date", "default": "2026-01-31"},
    "tags": {"type": "list[str]", "default": ["a"]},
    "key": {"type": "str", "secret": True},
}


def test_from_a_form_by_type_to_the_result_and_its_files(visitor: Visitor) -> None:
    command = (
        'printf "{\\"mode\\": \\"$mode\\", \\"html\\": \\"<b>$day</b>\\", \\"dry\\": $dry}" '
        '> $RUNHOOK_RESULT; printf "$count $share $tags ${#key}" > "$RUNHOOK_ARTIFACTS/a <b>#.txt"'
    )
    job = visitor.api.apply(name="form-by-type", command=command, parameters=DECLARED)
    visitor.sign_in()
    visitor.go(f"/dash/resources/job/{job}")
    page = visitor.page
    assert page.get_by_label("count").get_attribute("type") == "number"
    expect(page.get_by_text("How many.")).to_be_visible()
    page.get_by_label("count").fill("3")
    page.get_by_label("share").fill("0.25")
    page.get_by_label("dry").uncheck()
    page.get_by_label("mode").select_option(label="slow")
    page.get_by_label("day").fill("2026-02-28")
    page.get_by_label("key").fill("hunter-two")
    page.get_by_label("tags").fill("[1]")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("at 0 it takes text, and this is the whole number 1")).to_be_visible()
    expect(page.get_by_label("tags")).to_have_value("[1]")
    expect(page.get_by_label("count")).to_have_value("3")
    expect(page.get_by_label("dry")).not_to_be_checked()
    expect(page.get_by_label("mode")).to_have_value('"slow"')
    expect(page.get_by_label("key")).to_have_value("")
    page.get_by_label("tags").fill('["x"]')
    page.get_by_label("key").fill("hunter-two")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/dash/runs/*")
    expect(page.get_by_role("status")).to_have_text("succeeded")
    expect(page.locator("#result pre")).to_have_text(
        json.dumps({"mode": "slow", "html": "<b>2026-02-28</b>", "dry": False}, indent=2)
    )
    assert "hunter-two" not in page.content()
    expect(page.locator("#head")).to_contain_text("•••")
    with page.expect_download() as download:
        page.get_by_role("link", name="a <b>#.txt").click()
    assert download.value.path().read_text() == '3 0.25 ["x"] 10'
    assert download.value.suggested_filename.startswith("a ")
    with page.expect_download() as archive:
        page.get_by_role("link", name="All as a ZIP").click()
    assert archive.value.path().read_bytes().startswith(b"PK")


def test_every_page_of_a_run_leads_to_its_sections_and_its_text_is_copied(
    visitor: Visitor,
) -> None:
    job = visitor.api.apply(name="sections", command="echo '\"kept\"' > $RUNHOOK_RESULT")
    run = visitor.api.finished(visitor.api.start(job)["id"])["id"]
    visitor.sign_in()
    visitor.go(f"/dash/runs/{run}")
    page = visitor.page
    links = page.get_by_role("navigation", name="On this page").get_by_role("link")
    expect(links).to_have_text(["Log", "Result", "Artifacts", "Time", "Reproduce"])
    places = [page.locator(each.get_attribute("href") or "").bounding_box() for each in links.all()]
    tops = [each["y"] for each in places if each]
    assert len(tops) == 5
    assert tops == sorted(tops)
    expect(page.locator("#result").get_by_role("button", name="Copy")).to_be_visible()


@given(json_values)
def test_a_form_that_is_sent_as_it_is_shown_gives_the_defaults(value: object) -> None:
    contract = contract_of({"p": {"default": value}})
    known = KnownContract(contract, contract)
    shown = [
        (f"parameter.{each.name}", str(each.value))
        for each in fields(known)
        if each.input != "checkbox" or each.value
    ]
    sent = contract.filled(start_parameters(FormData(shown), known))
    expected = value.replace("\r\n", "\n") if isinstance(value, str) else value
    assert same(sent["p"], expected)
