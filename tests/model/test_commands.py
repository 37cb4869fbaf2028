"""One command, one so often, or a list of them: what a definition means by each."""

import json
from typing import Any

import pytest

from runhook.errors import Invalid
from runhook.model.commands import LONGEST_COMMAND, LONGEST_LIST, MOST_COMMANDS, MOST_COPIES
from runhook.model.job import JobSpec
from runhook.runner.several import MOST_AT_ONCE
from runhook.services.jobs import parse_spec
from runhook.services.parameters import checked_parameters


def spec(**more: Any) -> JobSpec:
    return parse_spec({"name": "x", **more})


@pytest.mark.parametrize(
    ("given", "scale", "lines"),
    [
        ("echo a", None, ["echo a"]),
        ("echo a", 3, ["echo a"] * 3),
        (["echo a", "echo b"], None, ["echo a", "echo b"]),
        ('["echo a", "echo b"]', 2, ["echo a", "echo b"]),
        (' [ "echo é" ] ', None, ["echo é"]),
        ("[ -f x ] && echo a", None, ["[ -f x ] && echo a"]),
        ("[[ a == a ]]", 2, ["[[ a == a ]]"] * 2),
        ('["a" -eq 1]', None, ['["a" -eq 1]']),
        ("[" * 100_000, None, ["[" * 100_000]),
    ],
    ids=lambda value: str(value)[:20],
)
def test_lines_in_the_order_of_their_ranks(
    given: object, scale: int | None, lines: list[str]
) -> None:
    made = spec(command=given, scale=scale)
    assert made.commands == lines
    assert made.instances == (scale or 1)
    again = parse_spec(made.recipe_spec())
    assert again.recipe_spec() == made.recipe_spec()
    assert isinstance(made.command, str)


def test_a_list_is_kept_as_the_text_that_stands_for_it() -> None:
    assert spec(command=["echo é"]).recipe_spec()["command"] == '["echo é"]'
    given = '[ "echo 1" ]'
    assert spec(command=given).recipe_spec()["command"] == given


@pytest.mark.parametrize("given", [[], [1], ["a", ""], "[]", "[null]", '[["a"]]', ["a"] * 10_001])
def test_a_list_of_anything_else_is_refused(given: object) -> None:
    with pytest.raises(Invalid) as caught:
        spec(command=given)
    assert "list of commands" in caught.value.details["command"]


def test_as_many_commands_as_are_allowed_fit_and_none_is_longer_than_a_line_may_be() -> None:
    lines = ["python work.py --part " + str(number) for number in range(MOST_COMMANDS)]
    assert len(json.dumps(lines)) > LONGEST_COMMAND
    assert spec(command=lines).commands == spec(command=json.dumps(lines)).commands == lines
    longest = "x" * LONGEST_COMMAND
    assert spec(command=[longest, "y"]).commands == [longest, "y"]
    for given in (f"{longest}x", [f"{longest}x"], json.dumps([f"{longest}x"])):
        with pytest.raises(Invalid) as caught:
            spec(command=given)
        assert caught.value.details["command"] == "a command has at most 100000 characters"
    many = [longest] * (LONGEST_LIST // LONGEST_COMMAND + 1)
    for too_much in (many, json.dumps(many)):
        with pytest.raises(Invalid) as caught:
            spec(command=too_much)
        assert "list of commands has at most" in caught.value.details["command"]


def test_one_command_is_copied_no_more_often_than_a_runner_has_places() -> None:
    assert MOST_COPIES == MOST_AT_ONCE
    assert len(spec(command="true", scale=MOST_COPIES).commands) == MOST_COPIES
    with pytest.raises(Invalid) as caught:
        spec(command="true", scale=MOST_COPIES + 1)
    assert "at most 256 times" in caught.value.details["scale"]
    assert spec(command=["true"], scale=10_000).commands == ["true"]
    assert spec(notebook="a.ipynb", scale=10_000).instances == 1


def test_parameters_stand_in_each_line_and_are_checked_there() -> None:
    made = spec(command=["echo {{a}}", "echo b"], parameters={"a": "x"})
    assert checked_parameters(made, {"a": "y"}) == {"a": "y"}
    for line in ("echo {{nobody}}", 'echo "{{a}}"'):
        with pytest.raises(Invalid) as caught:
            spec(command=["echo b", line], parameters={"a": "x"})
        assert "command" in caught.value.details
    with pytest.raises(Invalid, match="command line"):
        checked_parameters(
            spec(command=["{{a}} " * 20, "b"], parameters={"a": "x"}), {"a": "y" * 9000}
        )


def test_a_notebook_runs_once_and_says_so() -> None:
    made = spec(notebook="a.ipynb", scale=3)
    assert (made.commands, made.instances) == ([], 1)
    assert made.not_offered() == ["scale is kept, but not used here"]
    assert spec(command="true", scale=3).not_offered() == []
    sized = spec(command="true", instance_type="large")
    assert sized.not_offered() == ["instance_type is kept, but not used here"]
    assert sized.not_offered({"large": 1}) == []


def test_a_job_object_says_a_list_as_text() -> None:
    lines = ["echo a", "echo b"]
    assert json.loads(str(spec(command=lines).command)) == lines
