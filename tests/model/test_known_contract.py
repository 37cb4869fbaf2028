"""What is known of a job's contract: what the job declares over what its notebook told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook.model.job import JobSpec
from runhook.model.known_contract import MOST_INFERRED, Told, known_contract, place_of
from tests.conformance.conftest import NOON

URL = "https://h.example/code.git"


def spec_of(**more: object) -> JobSpec:
    repositories = [{"url": URL}]
    values = {"name": "x", "notebook": "code/n.ipynb", "git_repositories": repositories, **more}
    return JobSpec.model_validate(values)


def told(spec: JobSpec, cell: str | None, problem: str | None = None) -> Told:
    place = place_of(spec)
    assert place
    return Told(place.json(), "c" * 40, cell, problem, NOON)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({}, "n.ipynb"),
        ({"notebook": "/home/jovyan/workspace/code/a/n.ipynb"}, "a/n.ipynb"),
        ({"notebook": "other/n.ipynb"}, None),
        ({"notebook": "codex/n.ipynb"}, None),
        ({"git_repositories": []}, None),
        ({"notebook": None, "command": "papermill code/n.ipynb out.ipynb"}, None),
    ],
)
def test_a_notebook_comes_from_the_repository_in_whose_folder_it_stands(
    more: dict[str, Any], path: str | None
) -> None:
    place = place_of(spec_of(**more))
    assert (place.path if place else None) == path


def test_what_was_told_of_another_notebook_is_not_used() -> None:
    spec, moved = spec_of(), spec_of(notebook="code/m.ipynb")
    assert known_contract(moved, told(spec, "a = 1")).contract.parameters == {}
    tagged = spec_of(git_repositories=[{"url": URL, "reference": "v1", "reference_type": "tag"}])
    assert known_contract(tagged, told(spec, "a = 1")).contract.parameters == {}


def test_the_job_is_laid_over_the_notebook_and_its_defaults_alone_are_given() -> None:
    spec = spec_of(parameters={"year": {"type": "int", "max": 2030}, "own": "mine", "region": "s"})
    known = known_contract(spec, told(spec, "region = 'n'\nyear = 2026\nb: int\nRUNHOOK_X = 1"))
    sources = {name: known.source(name) for name in known.contract.parameters}
    assert sources == {
        "region": "job and notebook",
        "year": "job and notebook",
        "b": "notebook",
        "own": "job",
    }
    assert known.filled({"b": 2}) == {"region": "s", "own": "mine", "b": 2}
    assert set(known.problems({}, personal=True)) == {"b"}
    assert known.problems({}, personal=False) == {}
    assert set(known.problems({"b": "x"}, personal=False)) == {"b"}


def test_a_secret_parameter_of_the_notebook_shows_no_default() -> None:
    spec = spec_of(parameters={"key": {"type": "str", "secret": True}})
    known = known_contract(spec, told(spec, "key = 'changeme'\na = f()"))
    assert (known.problem, known.contract.secrets) == (None, ["key"])
    assert "changeme" not in str(known.schema("x")) + str(known.parameters_json())
    assert known.problems({}, personal=True) == {}
    assert known.example() == {}


@pytest.mark.parametrize(
    ("cell", "declared", "words"),
    [
        ("a = 'x'", {"a": {"type": "str", "default": "y", "min": 3}}, ""),
        ("a = 'x'", {"a": {"type": "int", "min": 3}}, "wrong default"),
        ("a = (", {}, "no Python"),
        ("\n".join(f"a{n} = 1" for n in range(MOST_INFERRED + 1)), {}, "more than 200 names"),
    ],
)
def test_what_contradicts_the_job_or_is_none_leaves_what_the_job_declares(
    cell: str, declared: dict[str, Any], words: str
) -> None:
    if not words:
        with pytest.raises(ValueError, match="cannot have"):
            spec_of(parameters=declared)
        return
    spec = spec_of(parameters=declared)
    known = known_contract(spec, told(spec, cell))
    assert known.contract == known.declared
    assert words in str(known.problem)
    assert known.schema("x")["x-notebook"]["problem"] == known.problem


@given(st.text(), st.none() | st.text())
def test_whatever_a_notebook_told_there_is_a_contract(cell: str, problem: str | None) -> None:
    spec = spec_of(parameters={"own": 1})
    for each in (cell, None):
        known = known_contract(spec, told(spec, each, problem))
        assert "own" in known.schema("x")["properties"]
        assert known.problems({}, personal=False) == {}
