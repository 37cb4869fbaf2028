"""Parameters over the API: the published contract, strict starts, and values that arrive."""

import hashlib
import json
import sqlite3
from typing import Any

import jsonschema
import nbformat
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import Api, Repository

DECLARED = {
    "region": "north",
    "year": {"type": "int", "default": 2026, "min": 2000, "help": "Which year."},
    "rate": 0.5,
    "dry": False,
    "mode": {"choices": ["fast", "slow"], "default": "fast"},
    "day": {"type": "date", "default": "2026-01-31"},
    "tags": {"type": "list[str]", "default": []},
    "free": None,
}
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
FEW = settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def start(api: Api, job: str, **parameters: Any) -> Any:
    return api.request("POST", f"/api/jobs/{job}/start", json={"parameters": parameters})


@pytest.fixture(scope="session")
def strict(shared_api: Api) -> str:
    """A job with a parameter of each sort, none of whose starts runs long."""
    return shared_api.apply(name="strict", command="true {{region}}", parameters=DECLARED)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("regoin", "x", "is not declared by this job; did you mean region?"),
        ("region", 7, "takes text, and this is the whole number 7"),
        ("region", None, "takes text, and this is null"),
        ("year", "2026", 'takes a whole number, and this is the text "2026"'),
        ("year", 2026.0, "takes a whole number, and this is the number 2026.0"),
        ("year", 1999, "is at least 2000, and this is the whole number 1999"),
        ("rate", True, "takes a number, and this is true"),
        ("rate", "0.5", "takes a number"),
        ("dry", 0, "takes true or false, and this is the whole number 0"),
        ("mode", "medium", "takes one of"),
        ("day", "2026-02-30", "takes a date"),
        ("tags", ["a", 1], "at 1 it takes text, and this is the whole number 1"),
        ("tags", "a", "takes a list"),
        ("free", "x" * 70_000, "is longer than 65536 bytes"),
    ],
)
def test_a_wrong_value_starts_nothing_and_is_told_why(
    shared_api: Api, strict: str, name: str, value: Any, sentence: str
) -> None:
    answer = start(shared_api, strict, **{name: value})
    assert answer.status_code == 422
    assert list(answer.json()["details"]) == [f"parameters.{name}"]
    assert sentence in answer.json()["details"][f"parameters.{name}"]


def test_the_published_contract_takes_what_a_start_takes(shared_api: Api, strict: str) -> None:
    schema = shared_api.request("GET", f"/api/jobs/{strict}/contract").json()
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    assert schema["title"] == "strict"
    assert schema["properties"]["year"] == {
        "type": "integer",
        "minimum": 2000,
        "default": 2026,
        "description": "Which year.",
    }
    for given_ in ({}, {"region": "007"}, {"tags": ["a"], "mode": "slow"}, {"free": [1]}):
        assert checker.is_valid(given_)
        run = start(shared_api, strict, **given_).json()["run"]
        assert {name: run["parameters"][name] for name in given_} == given_
    for wrong in ({"regoin": 1}, {"region": 7}, {"year": 1999}, {"tags": [1]}, {"mode": "x"}):
        assert not checker.is_valid(wrong)
        assert start(shared_api, strict, **wrong).status_code == 422


def test_a_job_is_an_operation_of_its_own(shared_api: Api, strict: str) -> None:
    document = shared_api.request("GET", f"/api/jobs/{strict}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operation = document["paths"][f"/api/jobs/{strict}/start"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator.check_schema(body)
    assert body["properties"]["parameters"]["properties"]["mode"]["enum"] == ["fast", "slow"]
    assert {"200", "202", "422"} <= set(operation["responses"])
    schemas = document["components"]["schemas"]
    for name in ("Job", "Run", "Error"):
        assert f"#/components/schemas/{name}" in json.dumps(document)
        jsonschema.Draft202012Validator.check_schema(schemas[name])


def test_a_secret_value_reaches_the_work_and_nothing_else(shared_api: Api) -> None:
    job = shared_api.apply(
        name="keeps-secrets",
        command='printf %s "$key" | sha256sum > "$RUNHOOK_ARTIFACTS/sum"; echo $open',
        parameters={"key": {"type": "str", "secret": True}, "open": "shown"},
    )
    answer = start(shared_api, job)
    assert "has no default: give text" in answer.text
    wrong = start(shared_api, job, key=77123)
    assert (wrong.status_code, "77123" in wrong.text) == (422, False)
    run = shared_api.finished(start(shared_api, job, key="hunter-two").json()["run"]["id"])
    assert run["parameters"] == {"key": "•••", "open": "shown"}
    given_ = shared_api.request("GET", f"/api/runs/{run['id']}/artifacts/sum").text
    assert given_.split()[0] == hashlib.sha256(b"hunter-two").hexdigest()
    listed = shared_api.request("GET", f"/api/jobs/{job}/runs").text
    assert "hunter-two" not in listed
    with sqlite3.connect(shared_api.server.data / "runhook.db") as database:
        told = database.execute("SELECT after FROM audit WHERE object_id = ?", [run["id"]])
        assert [json.loads(row[0])["parameters"]["key"] for row in told] == ["•••"]
    folder = shared_api.server.data / "attempts"
    identity = str(run["attempts"][0]["id"])  # type: ignore[index]
    kept = folder / identity[:2] / identity
    for path in kept.rglob("*"):
        if path.is_file():
            assert b"hunter-two" not in path.read_bytes(), path


@FEW
@given(st.lists(json_values, min_size=60, max_size=60))
def test_whatever_is_accepted_arrives_in_a_commands_environment(
    shared_api: Api, values: list[Any]
) -> None:
    names = [f"p{number}" for number in range(len(values))]
    job = shared_api.apply(
        name="environment-arrives",
        command='env -0 > "$RUNHOOK_ARTIFACTS/env"; printf %s {{p0}} > "$RUNHOOK_ARTIFACTS/word"',
        parameters=dict.fromkeys(names),
    )
    sent = dict(zip(names, values, strict=True))
    answer = shared_api.request("POST", f"/api/jobs/{job}/start?wait=50", json={"parameters": sent})
    run = answer.json()["run"]
    assert run["state"] == "succeeded", run
    base = f"/api/runs/{run['id']}/artifacts"
    pairs = shared_api.request("GET", f"{base}/env").content.decode().split("\0")
    seen = dict(pair.split("=", 1) for pair in pairs if pair)
    for name, value in sent.items():
        assert (seen[name] if isinstance(value, str) else json.loads(seen[name])) == value
    assert shared_api.request("GET", f"{base}/word").content.decode() == seen["p0"]


@settings(parent=FEW, max_examples=1)
@given(st.lists(json_values, min_size=150, max_size=150))
def test_whatever_is_accepted_arrives_in_a_notebook(
    shared_api: Api, repository: Repository, values: list[Any]
) -> None:
    names = [f"p{number}" for number in range(len(values))]
    cells = [
        nbformat.v4.new_code_cell("p0 = None  # help", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "import json, os\n"
            f"kept = {{name: globals()[name] for name in {names!r}}}\n"
            "with open(os.environ['RUNHOOK_RESULT'], 'w') as file:\n"
            "    json.dump(kept, file)"
        ),
    ]
    made = nbformat.v4.new_notebook(cells=cells)
    repository.commit({"echo.ipynb": nbformat.writes(made)})
    job = shared_api.apply(
        name="notebook-arrives",
        notebook="materials/echo.ipynb",
        git_repositories=[{"url": repository.url}],
        parameters=dict.fromkeys(names),
    )
    sent = dict(zip(names, [*values[5:], "007", 1.0, -0.0, "o'brien\n\\", 10**30], strict=True))
    answer = shared_api.request("POST", f"/api/jobs/{job}/start?wait=50", json={"parameters": sent})
    run = answer.json()["run"]
    assert run["state"] == "succeeded", run
    assert run["result"] == sent
    assert list(map(type, run["result"].values())) == list(map(type, sent.values()))


def test_a_schedule_is_held_against_the_contract_when_it_is_saved(shared_api: Api) -> None:
    spec = {
        "name": "badly-scheduled",
        "command": "true",
        "parameters": {"year": 2026},
        "schedules": [{"cron": "@daily", "parameters": {"year": "x"}}],
    }
    answer = shared_api.request("PUT", "/api/recipes", json={"type": "job", "spec": spec})
    assert answer.status_code == 422
    assert "gives year what it does not take" in answer.json()["details"]["spec.schedules"]
