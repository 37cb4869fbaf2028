"""The page of the audit log, in a real browser."""

from playwright.sync_api import expect

from tests.web.conftest import Visitor


def test_the_page_shows_what_was_changed_and_leads_on(visitor: Visitor) -> None:
    api, page = visitor.api, visitor.page
    job = api.apply(name="on-the-page", command="true")
    api.apply(name="on-the-page", command="false", description="<script>alert(1)</script>")
    run = api.start(job)
    visitor.sign_in()
    page.get_by_role("link", name="Audit", exact=True).click()
    page.get_by_label("Part of a name").fill("on-the-page")
    page.get_by_role("button", name="Show").click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("run.started")
    expect(rows.nth(0).get_by_role("link")).to_have_attribute("href", f"/dash/runs/{run['id']}")
    changed = rows.nth(1)
    expect(changed).to_contain_text("user token · 127.0.0.1")
    expect(changed.locator("dd del")).to_have_text("true")
    expect(changed.locator("dd ins").first).to_have_text("false")
    expect(changed.locator("dd ins").nth(1)).to_have_text("<script>alert(1)</script>")
    page.get_by_label("Action").fill("job.changed")
    page.get_by_role("button", name="Show").click()
    expect(rows).to_have_count(1)
    assert "text=on-the-page" in page.url
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "audit.csv"
    assert len(download.value.path().read_text().splitlines()) == 2
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("on-the-page")


def test_a_filter_that_cannot_be_read_is_told_at_its_field(
    visitor_without_scripts: Visitor,
) -> None:
    visitor, page = visitor_without_scripts, visitor_without_scripts.page
    visitor.sign_in()
    visitor.go("/dash/audit")
    page.get_by_label("From").fill("yesterday")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#f-from-wrong")).to_contain_text("or a day")
    page.get_by_role("link", name="Show all").click()
    expect(page.locator("tbody tr").first).to_be_visible()


def test_older_entries_are_on_further_pages(visitor: Visitor) -> None:
    api, page = visitor.api, visitor.page
    job = api.apply(name="many-entries", command="true", schedule="@yearly")
    for _ in range(26):
        for verb in ("schedule", "unschedule"):
            assert api.request("POST", f"/api/jobs/{job}/{verb}").status_code == 200
    visitor.sign_in()
    visitor.go(f"/dash/audit?object={job}")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(3)
    expect(rows.last).to_contain_text("job.created")
