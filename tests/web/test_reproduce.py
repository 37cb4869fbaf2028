"""Running exactly this again, editing and running, and comparing, in a real browser, also without
scripts; and the values that a form gives back."""

import subprocess
from typing import Any

from hypothesis import given
from playwright.sync_api import Page, expect
from starlette.datastructures import FormData

from runhook.model.declaration import contract_of
from runhook.model.job import JobSpec
from runhook.model.known_contract import KnownContract, known_contract
from runhook.model.parameters import same
from runhook.web.reproduce import _variables
from runhook.web.start_form import as_typed, start_parameters
from tests.api.test_inspections import notebook
from tests.conftest import Api, Repository
from tests.model.test_parameters import json_values
from tests.web.conftest import Visitor


def saved(visitor: Visitor, repository: Repository, name: str) -> str:
    repository.commit(
        {"n.ipynb": notebook("region = 'north'  # where\nhome = str(7)", "print(region)")}
    )
    return visitor.api.apply(
        name=name,
        notebook="code/n.ipynb",
        git_repositories=[{"url": repository.url, "path": "code"}],
        parameters={"key": {"type": "str", "secret": True, "default": ""}},
    )


def ended(page: Page) -> None:
    expect(page.locator("h1")).to_contain_text("succeeded", timeout=60_000)


def test_a_run_is_started_from_the_notebooks_contract_repeated_edited_and_compared(
    visitor: Visitor, repository: Repository
) -> None:
    visitor.sign_in()
    job, page = saved(visitor, repository, "n4-page"), visitor.page
    visitor.go(f"/dash/resources/job/{job}")
    field = page.get_by_label("region")
    expect(field).to_have_value("north")
    expect(page.locator("#start")).to_contain_text("From the notebook")
    field.fill("south <b>")
    page.get_by_label("key").fill("n4-typed-secret")
    page.get_by_role("button", name="Start").click()
    ended(page)
    first = page.url.rpartition("/")[2]
    assert visitor.api.run(first)["parameters"] == {"region": "south <b>", "key": "•••"}
    page.get_by_text("By hand").click()
    expect(page.locator("details pre").first).to_contain_text("git -C code checkout --detach")
    page.get_by_role("button", name="Run exactly this again").click()
    page.wait_for_url(lambda url: not url.endswith(first))
    ended(page)
    second = page.url.rpartition("/")[2]
    expect(page.get_by_role("link", name="an earlier run")).to_be_visible()
    assert visitor.api.run(second)["replay_of"] == first
    page.get_by_label("Compare with").select_option(first)
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url(f"**/dash/runs/{second}/compare/{first}")
    expect(page.locator("body")).to_contain_text("0 of")
    visitor.go(f"/dash/runs/{first}")
    page.get_by_role("link", name="Edit and run").click()
    expect(page.get_by_label("region")).to_have_value("south <b>")
    expect(page.get_by_label("key")).to_have_value("")
    assert "n4-typed-secret" not in page.content()


def test_repeating_and_comparing_work_without_scripts(
    visitor_without_scripts: Visitor, repository: Repository
) -> None:
    visitor = visitor_without_scripts
    visitor.sign_in()
    job, page = saved(visitor, repository, "n4-plain"), visitor.page
    first = visitor.api.start(job, json={"parameters": {"region": "x"}})["id"]
    visitor.api.finished(first)
    visitor.go(f"/dash/runs/{first}")
    page.get_by_role("button", name="Run exactly this again").click()
    second = page.url.rpartition("/")[2]
    visitor.api.finished(second)
    visitor.go(f"/dash/runs/{second}")
    page.get_by_label("Compare with").select_option(str(first))
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("h1")).to_contain_text("and run")
    expect(page.locator("#cells")).to_contain_text("n.ipynb")


def test_the_lines_by_hand_are_for_who_may_read_the_definition(shared_api: Api) -> None:
    job = shared_api.apply(
        name="by-hand-of-whom",
        command="echo of-the-definition",
        environment_variables={"OF_THE_DEFINITION": "x"},
    )
    run = shared_api.finished(shared_api.start(job)["id"])["id"]
    for scope, told in (("runs:read", False), (f"runs:read jobs:read:{job}", True)):
        wanted = {"description": "by hand", "scope": scope}
        made = shared_api.request("POST", "/api/tokens", json=wanted).json()
        held = Api(shared_api.server, made["access_token"])
        page = held.request("GET", f"/dash/runs/{run}")
        assert page.status_code == 200
        assert ("echo of-the-definition" in page.text) == told
        assert ("OF_THE_DEFINITION" in page.text) == told


@given(json_values, json_values)
def test_a_form_that_is_filled_from_a_run_gives_the_values_of_the_run(
    default: object, value: Any
) -> None:
    contract = contract_of({"p": {"type": "any", "default": default}})
    known = KnownContract(contract, contract)
    sent = contract.filled(start_parameters(FormData(as_typed(known, {"p": value})), known))
    expected = value.replace("\r\n", "\n") if isinstance(value, str) else value
    assert same(sent["p"], expected)


def test_what_the_notebook_has_by_itself_is_not_given() -> None:
    spec = JobSpec.model_validate({"name": "x", "notebook": "a/n.ipynb"})
    own = contract_of({"a": 1, "b": "x"})
    known = KnownContract(known_contract(spec, None).declared, own, inferred=frozenset("ab"))
    form = FormData([("parameter.a", "1"), ("parameter.b", "y")])
    assert start_parameters(form, known) == {"b": "y"}


@given(json_values)
def test_the_lines_by_hand_set_variables_to_what_the_run_had(value: Any) -> None:
    spec = JobSpec.model_validate({"name": "x", "command": "true"})
    expected = value if isinstance(value, str) else None
    if expected is not None and ("\x00" in expected or not expected.isprintable()):
        return
    [line] = _variables(spec, {"P": value})
    ran = subprocess.run(
        ["bash", "-c", f'{line}\nprintf %s "$P"'], capture_output=True, check=True, timeout=10
    )
    if expected is not None and expected != "•••":
        assert ran.stdout.decode() == expected
