"""Recipes of jobs that were not written for the strict client, as it reads them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Api
from tests.saturn_api.conftest import Client, model

SECRET = {"location": "TOKEN", "name": "strict-of-recipe"}
SPECS: dict[str, dict[str, Any]] = {
    "strict-notebook": {"notebook": "reports/weekly.ipynb", "parameters": {"week": 1}},
    "strict-bare": {"command": "true"},
    "strict-null": {"command": "true", "image": None, "instance_type": None},
    "strict-text": {
        "command": "true",
        "extra_packages": {"pip": "six\niniconfig", "conda": "gdal", "apt": None},
    },
    "strict-older": {"command": "true", "secrets": [{**SECRET, "type": "environment_variable"}]},
}


@pytest.fixture(scope="module")
def author(shared_api: Api) -> Api:
    """Somebody who sees these jobs and no others."""
    return shared_api.person("strict-author")


@pytest.fixture(scope="module")
def mine(client: Client, author: Api) -> Client:
    return client.as_(author)


@pytest.fixture(scope="module", autouse=True)
def jobs(mine: Client, author: Api) -> Iterator[None]:
    new = model("SecretCreate", name=SECRET["name"], value="a value that nobody is given")
    made = mine.call("SecretsApi", "create", secret_create=new)
    ids = [author.apply(name=name, **spec) for name, spec in SPECS.items()]
    yield
    for each in ids:
        mine.call("JobsApi", "delete", job_id=each)
    mine.call("SecretsApi", "delete", secret_id=made["id"])


@pytest.mark.parametrize("as_template", [False, True])
def test_all_of_them_are_listed_at_once(mine: Client, as_template: bool) -> None:
    listed = mine.call("RecipesApi", "list", type="job", as_template=as_template)["recipes"]
    specs = {each["spec"]["name"]: each["spec"] for each in listed}
    assert specs.keys() >= SPECS.keys()
    assert specs["strict-notebook"]["command"] == "# runs the notebook reports/weekly.ipynb"
    assert {specs[name]["image"] for name in SPECS} == {""}
    assert {specs[name]["instance_type"] for name in SPECS} == {""}
    packages = specs["strict-text"]["extra_packages"]
    assert packages["pip"]["install"] == "six\niniconfig"
    assert packages["conda"]["install"] == "gdal"
    (secret,) = specs["strict-older"]["secrets"]
    assert secret["attachment_type"] == "environment_variable"


@pytest.mark.parametrize("name", SPECS)
def test_what_was_got_applies_and_changes_nothing(mine: Client, author: Api, name: str) -> None:
    assert mine.call("RecipesApi", "get", recipe_type="job", name=name)["spec"]["name"] == name
    got = author.request("GET", f"/api/recipes/job/{name}").json()
    again = author.request("PUT", "/api/recipes", json=got)
    assert again.json()["state"]["action"] == "unchanged", again.text
    assert author.request("GET", f"/api/recipes/job/{name}").json() == got
    given = SPECS[name]
    job = author.request("GET", f"/api/jobs/{got['state']['id']}").json()
    assert (job["version"], job["command"]) == (1, given.get("command", ""))
    assert job["warnings"] == [each for each in got["warnings"] if "image" not in each]


@pytest.mark.parametrize("name", SPECS)
def test_a_copy_of_what_was_got_is_got_the_same(author: Api, name: str) -> None:
    where = f"/api/recipes/job/{name}"
    template = author.request("GET", f"{where}?as_template=true").json()
    template["spec"]["name"] = f"{name}-copy"
    made = author.request("POST", "/api/recipes", json=template).json()
    copy = author.request("GET", f"{where}-copy?as_template=true").json()
    assert copy["spec"] == template["spec"]
    job = author.request("GET", f"/api/jobs/{made['state']['id']}").json()
    assert job["command"] == SPECS[name].get("command", "")
    author.request("DELETE", f"/api/jobs/{job['id']}")


def test_a_notebook_that_the_client_lost_is_no_command(mine: Client) -> None:
    """Its models know no `notebook`, so what they send is not the job that was got."""
    got = mine.call("RecipesApi", "get", recipe_type="job", name="strict-notebook")
    kept = {name: value for name, value in got["spec"].items() if value is not None}
    recipe = model("Recipe", type="job", spec=kept)
    refused = mine.refused("RecipesApi", "apply", recipe=recipe)
    assert "give either a command or a notebook" in refused.body
