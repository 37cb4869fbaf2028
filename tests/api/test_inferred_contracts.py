"""The contract that the server reads in a job's notebook: published, held strictly, kept up to
date, and looked at again by the runner. Real repositories, servers and kernels."""

import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.api.test_inspections import notebook
from tests.conftest import Api, Repository

CELL = """
# The region to report on
region = "north"
year: int = 2026  # which year
mode: Literal["fast", "slow"] = "fast"
home = str(1 + 1)
"""
TOLD = """
import json, os
json.dump([region, year, mode, home], open(os.environ["RUNHOOK_RESULT"], "w"))
"""
PATIENCE = 60.0


def made(api: Api, repository: Repository, name: str, **more: object) -> str:
    repositories = [{"url": repository.url, "path": "code"}]
    return api.apply(name=name, notebook="code/n.ipynb", git_repositories=repositories, **more)


def start(api: Api, job: str, wait: int = 60, **parameters: Any) -> Any:
    return api.request(
        "POST", f"/api/jobs/{job}/start?wait={wait}", json={"parameters": parameters}
    )


def test_a_notebook_is_a_function_without_a_word_in_the_job(
    shared_api: Api, repository: Repository
) -> None:
    commit = repository.commit({"n.ipynb": notebook(CELL, "from typing import Literal", TOLD)
        .replace("mode: Literal[\\\"fast\\\", \\\"slow\\\"]", "mode")})  # fmt: skip
    job = made(
        shared_api, repository, "n4-inferred", parameters={"year": {"type": "int", "max": 2030}}
    )
    contract = shared_api.request("GET", f"/api/jobs/{job}/contract").json()
    jsonschema.Draft202012Validator.check_schema(contract)
    found = {
        n: (each["x-source"], each.get("default")) for n, each in contract["properties"].items()
    }
    assert found == {
        "region": ("notebook", "north"), "year": ("job and notebook", 2026),
        "mode": ("notebook", "fast"), "home": ("notebook", None),
    }  # fmt: skip
    assert contract["properties"]["year"]["maximum"] == 2030
    assert contract["x-notebook"]["commit"] == commit
    document = shared_api.request("GET", f"/api/jobs/{job}/openapi.json").json()
    assert "region" in json.dumps(document["paths"])
    shown = shared_api.request("GET", f"/api/jobs/{job}").json()
    first = shown["contract"][0]
    assert (first["name"], first["source"]) == ("region", "notebook")
    for given, words in (
        ({"regoin": "x"}, "nor by its notebook; did you mean region?"),
        ({"region": 7}, "takes text, and this is the whole number 7"),
        ({"year": 2031}, "is at most 2030"),
    ):
        refused = start(shared_api, job, **given)
        assert refused.status_code == 422, refused.text
        assert words in refused.text
    answer = start(shared_api, job, region="007")
    assert answer.status_code == 200, answer.text
    run = answer.json()["run"]
    assert (run["state"], run["result"]) == ("succeeded", ["007", 2026, "fast", "2"]), run
    assert run["parameters"] == {"region": "007"}


def test_what_is_pushed_is_known_to_the_next_start_and_after_every_run(
    shared_api: Api, repository: Repository
) -> None:
    repository.commit({"n.ipynb": notebook("a = 1")})
    job = made(shared_api, repository, "n4-pushed")
    repository.commit({"n.ipynb": notebook("a = 1\nadded: str = 'x'")})
    limit = time.monotonic() + PATIENCE
    while (answer := start(shared_api, job, added="y")).status_code == 422:
        assert time.monotonic() < limit, answer.text
    assert answer.json()["run"]["state"] == "succeeded", answer.text
    last = repository.commit({"n.ipynb": notebook("later = 1")})
    assert start(shared_api, job).json()["run"]["state"] == "succeeded"
    contract = shared_api.request("GET", f"/api/jobs/{job}/contract").json()
    assert (list(contract["properties"]), contract["x-notebook"]["commit"]) == (["later"], last)


def test_a_restart_takes_what_a_start_takes(shared_api: Api, repository: Repository) -> None:
    repository.commit({"n.ipynb": notebook("a = 1")})
    away = repository.path.with_name("away")
    repository.path.rename(away)
    secret = {"key": {"type": "str", "secret": True}}
    job = made(shared_api, repository, "n4-restart", parameters=secret)
    away.rename(repository.path)  # so what the notebook takes is not known yet
    body = {"parameters": {"a": 5, "key": "hunter-two"}}
    answer = shared_api.request("POST", f"/api/jobs/{job}/restart", json=body)
    assert answer.status_code == 200, answer.text
    assert "hunter-two" not in answer.text
    run = shared_api.finished(answer.json()["run"]["id"])
    assert run["state"] == "succeeded", run


def test_a_run_whose_commit_does_not_know_a_parameter_executes_nothing(
    shared_api: Api, repository: Repository, meeting: Path
) -> None:
    repository.commit({"n.ipynb": notebook("gone = 1")})
    job = made(shared_api, repository, "n4-gone")
    sign = meeting / "executed"
    repository.commit({"n.ipynb": notebook("other = 1", f"open({str(sign)!r}, 'w')")})
    run = start(shared_api, job, gone=2).json()["run"]
    assert (run["state"], run["step"]) == ("failed", "checkout"), run
    assert "does not know the parameter gone" in run["reason"]
    assert "assigns other; nothing was executed" in run["reason"]
    assert not sign.exists()


def test_a_repository_that_cannot_be_reached_makes_nothing_up(
    shared_api: Api, repository: Repository
) -> None:
    repository.commit({"n.ipynb": notebook("a = 1")})
    away = repository.path.with_name("away")
    repository.path.rename(away)
    job = made(shared_api, repository, "n4-unreachable", parameters={"known": 1})
    refused = start(shared_api, job, a=1)
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable"), refused.text
    assert "cannot know yet which parameters n.ipynb takes" in refused.text
    assert start(shared_api, job, known="text").status_code == 422
    contract = shared_api.request("GET", f"/api/jobs/{job}/contract").json()
    assert "cannot know yet" in contract["x-notebook"]["problem"]
    away.rename(repository.path)
    run = start(shared_api, job, a=5, known=2).json()["run"]
    assert run["state"] == "succeeded", run


@pytest.mark.parametrize(
    ("cell", "words"),
    [("1 +", "no Python"), ("x = " + "1" * 70_000, "longer than"), ("a = (", "no Python")],
)
def test_a_cell_that_cannot_be_read_leaves_what_the_job_declares(
    shared_api: Api, repository: Repository, cell: str, words: str
) -> None:
    repository.commit({"n.ipynb": notebook(cell)})
    job = made(shared_api, repository, f"n4-odd-{len(cell)}", parameters={"x": {"type": "int"}})
    contract = shared_api.request("GET", f"/api/jobs/{job}/contract").json()
    assert list(contract["properties"]) == ["x"]
    assert words in contract["x-notebook"]["problem"], contract
    assert "is not declared" in start(shared_api, job, y=1, x=1).text


def test_a_notebook_of_another_language_takes_what_the_job_declares(
    shared_api: Api, repository: Repository
) -> None:
    repository.commit({"n.ipynb": notebook("x <- 1", language="R")})
    job = made(shared_api, repository, "n4-r")
    contract = shared_api.request("GET", f"/api/jobs/{job}/contract").json()
    assert contract["properties"] == {}


def test_a_command_takes_what_the_job_declares_also_one_that_calls_papermill(
    shared_api: Api, repository: Repository
) -> None:
    repository.commit({"n.ipynb": notebook("a = 1")})
    job = shared_api.apply(
        name="n4-papermill",
        command="papermill code/n.ipynb out.ipynb",
        git_repositories=[{"url": repository.url, "path": "code"}],
    )
    assert start(shared_api, job, a=1).status_code == 422
