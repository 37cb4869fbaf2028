"""The page of secrets, in a browser."""

from tests.web.conftest import Visitor

VALUE = "never-on-any-page\nsecond-line"


def test_a_secret_is_added_replaced_and_removed(visitor: Visitor) -> None:
    visitor.sign_in()
    page = visitor.page
    page.get_by_role("link", name="Secrets").click()
    page.get_by_label("Name").fill("page-secret")
    page.get_by_label("Value", exact=True).fill(VALUE)
    page.get_by_role("button", name="Add").click()
    row = page.get_by_role("row").filter(has_text="page-secret")
    assert "main/admin" in row.inner_text()
    assert "never-on-any-page" not in page.content()
    row.get_by_text("New value", exact=True).click()
    row.get_by_label("New value of page-secret").fill("ab")
    row.get_by_role("button", name="Replace").click()
    page.get_by_role("status").wait_for()
    assert "is not masked" in page.get_by_role("status").inner_text()
    page.get_by_role("row").filter(has_text="page-secret").get_by_role(
        "button", name="Remove"
    ).click()
    page.wait_for_url("**/dash/secrets")
    assert page.get_by_role("row").filter(has_text="page-secret").count() == 0


def test_what_is_in_use_is_asked_about_and_mistakes_lose_no_name(
    visitor_without_scripts: Visitor,
) -> None:
    visitor, page = visitor_without_scripts, visitor_without_scripts.page
    api = visitor.api
    api.request("POST", "/api/secrets", json={"name": "page-used", "value": VALUE})
    attached = {"location": "X", "attachment_type": "environment_variable", "name": "page-used"}
    job = api.apply(name="page-user", command="true", secrets=[attached])
    visitor.sign_in()
    visitor.go(f"/dash/resources/job/{job}")
    assert "page-used at X" in page.content()
    visitor.go("/dash/secrets")
    row = page.get_by_role("row").filter(has_text="page-used")
    assert row.get_by_role("link", name="page-user").count() == 1
    page.get_by_label("Name").fill("page used")
    page.get_by_label("Value", exact=True).fill(VALUE)
    page.get_by_role("button", name="Add").click()
    assert page.get_by_label("Name").input_value() == "page used"
    assert page.get_by_label("Value", exact=True).input_value() == ""
    assert "never-on-any-page" not in page.content()
    row.get_by_role("button", name="Remove").click()
    assert "attached to jobs: main/admin/page-user" in page.get_by_role("alert").inner_text()
    page.get_by_role("button", name="Remove it all the same").click()
    assert page.get_by_role("row").filter(has_text="page-used").count() == 0
