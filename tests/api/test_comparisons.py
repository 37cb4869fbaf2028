"""Two real runs of a notebook beside each other, by the API and on the page."""

import pytest

from tests.api.test_inspections import notebook
from tests.conftest import Api, Repository

REPORT = "import json, os\njson.dump({'n': n}, open(os.environ['RUNHOOK_RESULT'], 'w'))"


@pytest.fixture
def two_runs(shared_api: Api, repository: Repository) -> tuple[str, str]:
    """Of one notebook whose commit, definition and parameters have changed in between."""

    def run(cell: str, n: int, description: str) -> str:
        repository.commit({"n.ipynb": notebook("n = 1", "print('same')", cell, REPORT)})
        job = shared_api.apply(
            name="n4-compared",
            description=description,
            notebook="code/n.ipynb",
            git_repositories=[{"url": repository.url, "path": "code"}],
            parameters={"key": {"type": "str", "secret": True, "default": ""}},
        )
        body = {"parameters": {"n": n, "key": "n4-hidden-value"}}
        answer = shared_api.request("POST", f"/api/jobs/{job}/start?wait=60", json=body)
        assert answer.json()["run"]["state"] == "succeeded", answer.text
        return str(answer.json()["run"]["id"])

    return run("print('<b>old</b>')", 1, "first"), run("print('new')", 2, "second")


def test_two_runs_tell_what_differs(shared_api: Api, two_runs: tuple[str, str]) -> None:
    old, new = two_runs
    found = shared_api.request("GET", f"/api/runs/{new}/compare/{old}").json()
    parameters = {each["name"]: each for each in found["parameters"]}
    assert (parameters["n"]["this"], parameters["n"]["other"], parameters["n"]["same"]) == (
        *(2, 1),
        False,
    )
    assert parameters["key"] == {"name": "key", "this": "•••", "other": "•••", "same": None}
    [commit] = found["commits"]
    assert (commit["same"], commit["link"]) == (False, None)
    assert [each["subject"] for each in commit["log"]] == ["change"]
    assert commit["log"][0]["commit"] == commit["this"]
    assert {each["name"]: each["same"] for each in found["outcome"]}["state"] is True
    assert '+  "description": "second"' in found["definition"]["diff"]
    assert (found["packages"]["changed"], found["packages"]["added"]) == ({}, {})
    assert {"checkout", "environment", "notebook"} <= {each["name"] for each in found["steps"]}
    assert found["notebook"] == "n.ipynb"
    by_title = {each["title"]: each for each in found["cells"]}
    assert by_title["print('same')"]["same"] is True
    changed = next(each for each in found["cells"] if "print('new')" in each["source_diff"])
    assert "-<b>old</b>" in changed["outputs_diff"] and "+new" in changed["outputs_diff"]
    assert '-  "n": 1\n+  "n": 2' in found["result_diff"]
    same = shared_api.request("GET", f"/api/runs/{new}/compare/{new}").json()
    assert (same["definition"]["diff"], same["result_diff"]) == ("", "")


def test_runs_of_different_jobs_are_not_compared(
    shared_api: Api, two_runs: tuple[str, str]
) -> None:
    other = shared_api.start(shared_api.apply(name="n4-another", command="true"))["id"]
    shared_api.finished(other)
    answer = shared_api.request("GET", f"/api/runs/{two_runs[0]}/compare/{other}")
    assert (answer.status_code, "not of the same job" in answer.text) == (422, True)
    missing = shared_api.request("GET", f"/api/runs/{two_runs[0]}/compare/{'0' * 32}")
    assert missing.status_code == 404
