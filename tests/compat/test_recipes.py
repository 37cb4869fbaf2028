"""Recipes as people have them for elsewhere: today's form and the older one, from files and from a
repository, and what of them has no effect here."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from runhook.errors import Invalid
from runhook.services.recipes import definition_in, definition_of
from tests.compat.conftest import Sc
from tests.conftest import ROOT, Api, Repository

FILES = Path(__file__).with_name("recipes")
COMMAND = (
    "papermill materials/notebook-job-api/example.ipynb out.ipynb "
    "--stdout-file - --stderr-file - --kernel python3"
)
LINE = "INFO:root:Job is successfully running!"


def with_repository(text: str, repository: Repository) -> str:
    return text.replace("https://git.example.org/acme/materials.git", repository.url)


@pytest.fixture
def materials(repository: Repository) -> Repository:
    """The repository of the example, with the notebook."""
    notebook = (ROOT / "examples" / "notebook-job-api" / "example.ipynb").read_text()
    repository.commit({"notebook-job-api/example.ipynb": notebook})
    return repository


@pytest.mark.parametrize("form", ["today.yaml", "older.json"])
def test_the_example_applies_runs_and_comes_back_the_same(
    sc: Sc, shared_api: Api, materials: Repository, form: str
) -> None:
    text = with_repository((FILES / form).read_text(), materials)
    recipe = yaml.safe_load(text)
    if form.startswith("older"):
        made = shared_api.request("PUT", "/api/recipes", json=recipe)
        assert made.status_code == 201, made.text
        name, notes = recipe["name"], made.json()["warnings"]
        assert "visibility is not used here" in notes
    else:
        (sc.cwd / form).write_text(text)
        sc.done("apply", str(sc.cwd / form))
        name = recipe["spec"]["name"]
        notes = shared_api.request("GET", f"/api/recipes/job/{name}").json()["warnings"]
    assert "image is kept, but not used here" in notes
    shown = sc.done("get", "job", name).out
    (sc.cwd / "again.yaml").write_text(shown)
    sc.done("apply", str(sc.cwd / "again.yaml"), "--start")
    spec = yaml.safe_load(shown)["spec"]
    assert spec["command"] == COMMAND
    assert spec["working_directory"] == "/home/jovyan/workspace"
    run = shared_api.request("GET", f"/api/jobs/{id_of(shared_api, name)}/runs").json()["runs"][0]
    assert shared_api.finished(run["id"])["state"] == "succeeded", shared_api.log(run["id"])
    assert LINE in sc.done("logs", "job", name).out
    assert {**yaml.safe_load(sc.done("get", "job", name).out), "state": 0} == {
        **yaml.safe_load(shown),
        "state": 0,
    }
    versions = shared_api.request("GET", f"/api/jobs/{id_of(shared_api, name)}/versions").json()
    assert len(versions["versions"]) == 1


def id_of(api: Api, name: str) -> str:
    return str(api.request("GET", f"/api/recipes/job/{name}").json()["state"]["id"])


def test_everything_that_a_recipe_may_say_is_kept_and_given_back(shared_api: Api) -> None:
    recipe = yaml.safe_load((FILES / "everything.yaml").read_text())
    made = shared_api.request("PUT", "/api/recipes", json=recipe)
    assert made.status_code == 201, made.text
    name = recipe["spec"]["name"]
    got = shared_api.request("GET", f"/api/recipes/job/{name}").json()
    assert got["spec"] == {**recipe["spec"], "owner": "main/admin"}
    again = shared_api.request("PUT", "/api/recipes", json=got).json()
    assert again["state"]["action"] == "unchanged"
    notes = " ".join(made.json()["warnings"])
    unused = "image instance_type use_spot_instance start_dind dask_cluster shared_folders"
    for each in unused.split():
        assert f"{each} is kept, but not used here" in notes
    page = shared_api.request("GET", f"/dash/resources/job/{got['state']['id']}").text
    assert "kept, but not used here" in page
    as_job = shared_api.request("GET", f"/api/jobs/{got['state']['id']}").json()
    assert as_job["is_spot"] is True
    assert as_job["extra_packages"]["apt"] == "graphviz"


def test_the_older_form_says_the_same_as_todays() -> None:
    older = json.loads((FILES / "older.json").read_text())
    today = yaml.safe_load((FILES / "today.yaml").read_text())
    read = definition_of(older).spec.recipe_spec()
    said = {name: value for name, value in today["spec"].items() if name in read}
    assert read == {**said, "name": read["name"], "image": {"uri": "acme.example.org/saturn:1"}}


def _older(**more: Any) -> dict[str, Any]:
    return {"name": "x", "job": {"instance_type": "large", "command": "true"}, **more}


@pytest.mark.parametrize(
    ("more", "field", "kept"),
    [
        ({"extra_packages": {"pip": "six"}}, "extra_packages", {"pip": "six"}),
        (
            {"extra_packages": {"pip": {"packages": "six"}, "conda": {"packages": "gdal"}}},
            "extra_packages",
            {"pip": {"install": "six"}, "conda": {"install": "gdal"}},
        ),
        ({"image": {"owner": "a", "name": "b", "version": "c"}}, "image", None),
        ({"working_dir": "/home/jovyan/git-repos/x"}, "working_directory", None),
        (
            {"git_repos": [{"remote_url": "https://h.example/x.git", "ref": "v1"}]},
            "git_repositories",
            [{"url": "https://h.example/x.git", "reference": "v1"}],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_older_names_mean_todays(more: dict[str, Any], field: str, kept: object) -> None:
    read = definition_of(_older(**more)).spec.recipe_spec()
    assert read[field] == (kept if kept is not None else next(iter(more.values())))


def test_older_retries_schedules_and_policies() -> None:
    recipe = _older()
    recipe["job"] |= {"backoff_limit": 2, "schedule": "@daily", "concurrency_policy": "Forbid"}
    spec = definition_of(recipe).spec
    assert (spec.retrying.count, spec.rules[0].cron, str(spec.on_overlap)) == (2, "@daily", "skip")


@pytest.mark.parametrize(
    ("recipe", "field", "words"),
    [
        ({"name": "x", "jupyter_server": {"instance_type": "large"}}, "job", "only jobs run here"),
        ({"name": "x", "deployment": {"command": "serve"}}, "job", "deployment"),
        (_older(colour="red"), "colour", "not known"),
        (_older(working_directory="/etc"), "working_directory", "relative"),
        ({"type": "workspace", "spec": {}}, "type", "'job'"),
        ({"type": "job", "spec": []}, "spec", "object"),
        ({"type": "job", "spec": {"name": "x", "command": []}}, "spec.command", "1 to"),
        ({"type": "job", "spec": {"name": "x", "command": "[1]"}}, "spec.command", "lines"),
        ({"type": "job", "spec": {"name": "x", "command": [" "]}}, "spec.command", "empty"),
    ],
)
def test_what_is_wrong_is_named(recipe: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        definition_of(recipe)
    assert words in caught.value.details[field]


def test_what_is_not_known_may_be_left_out_at_any_depth() -> None:
    recipe = {
        "type": "job",
        "future": 1,
        "spec": {
            "name": "x",
            "command": "true",
            "ide": "jupyterlab",
            "extra_packages": {"pip": {"install": "six", "mirror": "m"}, "npm": "left-pad"},
            "git_repositories": [{"url": "https://h.example/x.git", "depth": 1}],
        },
    }
    found = definition_of(recipe, enforce_unknown=False)
    left_out = {"future", "ide", "extra_packages.pip.mirror", "extra_packages.npm"}
    left_out.add("git_repositories.0.depth")
    assert {note.partition(" ")[0] for note in found.notes} == left_out
    assert found.spec.recipe_spec()["extra_packages"] == {"pip": {"install": "six"}}


def test_a_file_of_a_repository_becomes_a_job_of_that_repository() -> None:
    recipe = json.dumps(_older())
    url = "https://git.example.org/acme/materials.git"
    assert definition_in(recipe, url).spec.repositories[0].url == url
    other = [{"url": "https://git.example.org/acme/other.git"}]
    named = definition_in(json.dumps(_older(git_repositories=other)), url)
    assert [each.url for each in named.spec.repositories] == [other[0]["url"]]
    for text in ("", "[]", "{", '{"name": "x"}', "null", "[" * 100_000):
        with pytest.raises(Invalid):
            definition_in(text, url)
