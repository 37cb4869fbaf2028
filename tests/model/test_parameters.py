"""The contract of a job: declarations, types, values, and what is read from notebooks."""

import contextlib
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runhook.model.annotation import kind_named
from runhook.model.declaration import WORDS, contract_of, is_long_form
from runhook.model.inference import contract_of_cell, inferred
from runhook.model.job import JobSpec
from runhook.model.kind import PLAIN, Kind, kind_of
from runhook.model.parameters import COMPUTED, REQUIRED, Contract, hidden, same

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
finite = scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
json_values = st.recursive(
    finite,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts | st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=8,
)
plain_kinds = st.sampled_from([*PLAIN]).map(Kind)
literals = st.lists(st.sampled_from([1, 2, "a", "1", True, None]), min_size=1, max_size=3)
kinds = st.recursive(
    plain_kinds | literals.map(lambda values: Kind("literal", values=tuple(values))),
    lambda inner: (
        inner.map(lambda kind: Kind("list", (kind,)))
        | inner.map(lambda kind: Kind("dict", (kind,)))
        | st.lists(inner, min_size=2, max_size=3).map(lambda them: Kind("union", tuple(them)))
    ),
    max_leaves=5,
)


def refused(**spec: Any) -> str:
    """What is said about a definition that cannot be used."""
    with pytest.raises(ValidationError) as caught:
        JobSpec(**{"name": "j", "command": "true"} | spec)
    return str(caught.value)


MATRIX = {
    "bool": [True, False],
    "int": [0, -3, 10**40],
    "float": [0.5, -1e300],
    "str": ["", "007", "true", "1"],
    "date": ["2026-01-31"],
    "datetime": ["2026-01-31T06:00:00Z", "2026-01-31T06:00:00.25+02:00"],
    "list": [[], [1, "a"]],
    "dict": [{}, {"a": None}],
    "None": [None],
}
ALSO = {("float", "int"), ("str", "date"), ("str", "datetime")}


@pytest.mark.parametrize("wanted", [*MATRIX])
@pytest.mark.parametrize("came", [*MATRIX])
def test_a_type_takes_its_own_values_and_no_others(wanted: str, came: str) -> None:
    for value in MATRIX[came]:
        problem = kind_named(wanted).problem(value)
        if wanted == came or (wanted, came) in ALSO:
            assert problem is None, problem
        else:
            assert problem is not None
            assert json.dumps(value)[:20] in problem


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("int", 1.0, "takes a whole number, and this is the number 1.0"),
        ("int", "7", 'takes a whole number, and this is the text "7"'),
        ("int", True, "takes a whole number, and this is true"),
        ("float", float("nan"), "takes a number"),
        ("float", float("inf"), "takes a number"),
        ("float", 10**400, "takes a number"),
        ("date", "2026-02-30", "takes a date"),
        ("date", "20260131", "takes a date"),
        ("date", "2026-01-31T00:00", "takes a date"),
        ("datetime", "2026-01-31", "takes an instant"),
        ("datetime", "2026-01-31T25:00:00", "takes an instant"),
        ("list[int]", [1, "2"], 'at 1 it takes a whole number, and this is the text "2"'),
        ("dict[str, list[int]]", {"a": [1, None]}, 'at "a" it at 1 it takes a whole number'),
        ("int | None", "x", 'takes a whole number or null, and this is the text "x"'),
        ("Literal['a', 1]", True, 'takes one of "a", 1, and this is true'),
        ("Literal[1]", 1.0, "takes one of 1"),
    ],
)
def test_a_wrong_value_is_told_what_was_expected_and_what_came(
    kind: str, value: Any, sentence: str
) -> None:
    assert sentence in str(kind_named(kind).problem(value))


@given(kinds)
def test_a_type_is_written_as_it_is_read(kind: Kind) -> None:
    assert str(kind_named(str(kind))) == str(kind_named(str(kind_named(str(kind)))))


@given(kinds, json_values)
def test_what_a_type_takes_its_schema_takes_and_little_else(kind: Kind, value: Any) -> None:
    checker = jsonschema.Draft202012Validator(kind.schema())
    valid = checker.is_valid(value)
    if kind.problem(value) is None:
        assert valid
    elif not any(word in str(kind) for word in ("int", "float", "date", "Literal")):
        assert not valid  # JSON Schema takes 1.0 for an integer and knows no 30th of February


@pytest.mark.parametrize("text", ["", "integer", "int[", "list[int, int]", "dict[int, str]", "f()"])
def test_an_unknown_type_is_told_what_can_be_written(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no type known here: write int, float"):
        kind_named(text)


@given(json_values)
def test_a_short_declaration_is_the_default_or_is_refused_as_unclear(value: Any) -> None:
    words = set(WORDS)
    if isinstance(value, dict) and value and set(value) <= words - {"type", "default"}:
        with pytest.raises(ValueError, match="could be a declaration or a default"):
            is_long_form(value)
        return
    if is_long_form(value):
        assert {"type", "default"} & set(value)
        return
    parameter = contract_of({"p": value}).parameters["p"]
    assert same(parameter.default, value)
    assert parameter.problem(value) is None


@given(json_values)
def test_the_long_form_says_any_default_whatever(value: Any) -> None:
    parameter = contract_of({"p": {"default": value}}).parameters["p"]
    assert same(parameter.default, value)
    assert contract_of({"p": parameter.long_form()}).parameters["p"] == parameter


@given(json_values)
def test_any_declaration_whatever_is_read_or_refused_by_a_sentence(value: Any) -> None:
    with contextlib.suppress(ValueError):
        schema = contract_of({"p": value}).schema("job")
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("declaration", "sentence"),
    [
        ({"type": "int", "mim": 1}, "'mim', which is no word of a declaration"),
        ({"min": 1, "max": 3}, "could be a declaration or a default"),
        ({"secret": True}, "could be a declaration or a default"),
        ({"type": "sale"}, "is no type known here"),
        ({"type": 3}, "has a type that is no text"),
        ({"type": "int", "default": "7"}, "has a wrong default"),
        ({"type": "int", "default": 5, "max": 4}, "has a wrong default: it is at most 4"),
        ({"type": "str", "min": 1}, "has min, which str cannot have"),
        ({"type": "int", "min": "1"}, "has a wrong min"),
        ({"type": "int", "min": 2, "max": 1}, "has a min above its max"),
        ({"type": "int", "choices": [1, "2"]}, "has a wrong choice"),
        ({"type": "int", "choices": []}, "has wrong choices"),
        ({"type": "str", "choices": ["a"], "default": "b"}, "has a wrong default"),
        ({"type": "str", "secret": True, "default": "x"}, "is secret, so it has no default"),
        ({"type": "str", "secret": "yes"}, "has a wrong secret"),
        ({"type": "str", "help": 3}, "has a wrong help"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(
    declaration: dict[str, Any], sentence: str
) -> None:
    said = refused(parameters={"p": declaration})
    assert "parameters: p " in said
    assert sentence in said


def test_bounds_choices_and_needed_values_are_held() -> None:
    contract = contract_of(
        {
            "n": {"type": "int", "min": 1, "max": 9},
            "d": {"type": "date", "min": "2026-01-01", "default": "2026-05-05"},
            "c": {"choices": ["a", "b"], "default": "a"},
            "maybe": {"type": "int", "default": None, "min": 0},
        }
    )
    assert contract.problems({}) == {"n": "has no default: give a whole number"}
    assert contract.problems({"n": 10})["n"].startswith("is at most 9, and this is")
    assert "at least 2026-01-01" in contract.problems({"n": 1, "d": "2025-12-31"})["d"]
    assert "takes one of" in contract.problems({"n": 1, "c": "c"})["c"]
    assert contract.problems({"n": 1, "maybe": None}) == {}
    assert contract.filled({"n": 2}) == {"n": 2, "d": "2026-05-05", "c": "a", "maybe": None}
    assert contract.schema("j")["required"] == ["n"]


def test_a_secret_is_in_no_sentence() -> None:
    contract = contract_of({"key": {"type": "int", "secret": True, "max": 3}})
    for value in ("hunter2", 77):
        assert str(value) not in contract.problems({"key": value})["key"]
    assert contract.schema("j")["properties"]["key"]["writeOnly"] is True
    assert hidden({"key": 1, "open": 2}, contract.secrets) == {"key": "•••", "open": 2}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"schedules": [{"cron": "@daily", "parameters": {"n": "x"}}]}, "gives n what it does not"),
        ({"schedules": [{"cron": "@daily", "parameters": {"m": 1}}]}, "m, which is not declared"),
        ({"schedules": [{"cron": "@daily"}]}, "gives no value to n, which has no default"),
        ({"schedule": "@daily"}, "gives no value to n, which has no default"),
        ({"triggers": [{"after": "other"}]}, "gives no value to n"),
        ({"triggers": [{"webhook": "w"}]}, "gives no value to n"),
        ({"command": "echo {{m}}"}, "m is not declared"),
        ({"command": "echo {{ n }}"}, "write {{n}} without spaces"),
        ({"parameters": {"RUNHOOK_TOKEN": ""}}, "is set by the server"),
        ({"command": None, "notebook": "a.ipynb", "parameters": {"class": 1}}, "cannot be the"),
        ({"command": None, "notebook": "a.R"}, "ends in .py or .md"),
    ],
)
def test_what_could_never_start_is_refused_when_the_job_is_saved(
    spec: dict[str, Any], sentence: str
) -> None:
    assert sentence in refused(**{"parameters": {"n": {"type": "int"}}} | spec)


def test_a_schedule_gives_no_secrets_and_a_command_line_shows_none() -> None:
    secret = {"key": {"type": "str", "secret": True}}
    rule = {"cron": "@daily", "parameters": {"key": "x"}}
    assert "key, which is secret" in refused(parameters=secret, schedules=[rule])
    assert "write $key instead" in refused(parameters=secret, command="curl {{key}}")


CELL = """
import os
# The region
# to look at
region = "north"
year: int = 2026   # which year
neg = -3
rate = 0.5  # type: float  # how much
opt: "Optional[int]" = None
union: typing.Union[int, str] = 1
mode: Literal["a", "b"] = "a"
day: date = datetime.date(2026, 1, 31)
things: List[Dict[str, int]] = [{"a": 1}, {}]
path = os.environ["HOME"]
needed: int
a = b = True
p, q = 1, "x"
frame: pd.DataFrame = None
wrong: int = 1.5
nothing = None
nested = [1, [-2.5, {"k": None}]]
pair = (1, 2)
keys = {1: 2}
endless = 1e999
half = "\\ud800"
pattern = "\\d"
ignored = 1  # type: ignore
year += 0
if True:
    inner = 1
"""


def test_a_cell_is_read_as_people_write_it() -> None:
    found = contract_of_cell(CELL).parameters
    told = {name: (str(each.kind), each.default) for name, each in found.items()}
    assert told == {
        "region": ("str", "north"),
        "year": ("any", COMPUTED),
        "neg": ("int", -3),
        "rate": ("float", 0.5),
        "opt": ("int | None", None),
        "union": ("int | str", 1),
        "mode": ("Literal['a', 'b']", "a"),
        "day": ("date", "2026-01-31"),
        "things": ("list[dict[str, int]]", [{"a": 1}, {}]),
        "path": ("any", COMPUTED),
        "needed": ("int", REQUIRED),
        "a": ("bool", True),
        "b": ("bool", True),
        "p": ("int", 1),
        "q": ("str", "x"),
        "frame": ("any", None),
        "wrong": ("any", 1.5),
        "nothing": ("any", None),
        "nested": ("list", [1, [-2.5, {"k": None}]]),
        "pair": ("any", COMPUTED),
        "keys": ("any", COMPUTED),
        "endless": ("any", COMPUTED),
        "half": ("any", COMPUTED),
        "pattern": ("str", "\\d"),
        "ignored": ("int", 1),
    }
    helps = {name: each.help for name, each in found.items() if each.help}
    assert helps["region"] == "The region to look at"
    assert helps["rate"] == "how much"
    written = {name: each.written for name, each in found.items() if each.written}
    assert (written["path"], written["frame"]) == ('os.environ["HOME"]', "pd.DataFrame")


def notebook(*cells: tuple[str, list[str]]) -> str:
    made = [
        {"cell_type": "code", "source": text.splitlines(keepends=True), "metadata": {"tags": tags}}
        for text, tags in cells
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def test_a_notebook_needs_a_tagged_cell_and_no_kernelspec() -> None:
    source = notebook(("x = 0", []), ("%matplotlib inline\nx = 1", ["parameters"]))
    assert inferred(source).parameters["x"].default == 1
    assert inferred(notebook(("x = 0", []))) == Contract()
    old = {"worksheets": [{"cells": json.loads(source.replace('"source"', '"input"'))["cells"]}]}
    assert inferred(json.dumps(old)).parameters["x"].default == 1


@pytest.mark.parametrize("source", ["{", '{"cells": 3}', '{"cells": [1]}', "{" * 100_000])
def test_what_is_no_notebook_is_told_so(source: str) -> None:
    with pytest.raises(ValueError, match="this is no notebook"):
        inferred(source)


def test_a_cell_that_is_no_python_is_told_the_line() -> None:
    with pytest.raises(ValueError, match="line 2 is no Python"):
        contract_of_cell("x = 1\ny = = 2")


def test_a_script_declares_in_a_block() -> None:
    script = (
        "#!/usr/bin/env python\n# /// script\n# dependencies = []\n# ///\n\n"
        "# /// runhook\n# [parameters]\n# region = 'north'\n# day = 2026-01-31\n#\n"
        "# [parameters.year]\n# type = 'int'\n# min = 2000\n# ///\nprint()\n"
    )
    found = inferred(script)
    assert {name: str(each.kind) for name, each in found.parameters.items()} == {
        "region": "str",
        "day": "str",
        "year": "int",
    }
    assert found.problems({"year": 1999})
    with pytest.raises(ValueError, match="two blocks"):
        inferred(script * 2)
    with pytest.raises(ValueError, match="is no TOML"):
        inferred("# /// runhook\n# [parameters\n# ///\n")


@given(st.dictionaries(st.from_regex(r"v[a-z0-9]{0,8}", fullmatch=True), json_values, max_size=6))
def test_written_literals_are_read_back_as_they_are(values: dict[str, Any]) -> None:
    source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    found = contract_of_cell(source).parameters
    assert {name: each.default for name, each in found.items()} == values
    assert all(each.kind == kind_of(values[name]) for name, each in found.items())


@given(st.text(max_size=200) | st.text("xy=:# \n\t'\"[]{}()-,1.%!\\", max_size=60))
def test_any_text_whatever_is_read_or_refused_by_a_sentence(source: str) -> None:
    for read in (inferred, contract_of_cell):
        with contextlib.suppress(ValueError):
            assert isinstance(read(source), Contract)


def test_a_notebooks_contract_is_overridden_and_tightened_by_the_job() -> None:
    from runhook.model.declaration import merged

    notebook_has = contract_of_cell("year: int = 2020  # which\nregion = 'north'\npath = f()\n")
    found = merged(
        notebook_has, {"year": {"default": 2026, "min": 2000}, "region": "south", "more": 1}
    ).parameters
    year = found["year"]
    assert (str(year.kind), year.default, year.help, year.minimum) == ("int", 2026, "which", 2000)
    assert (found["region"].default, str(found["more"].kind)) == ("south", "int")
    assert merged(notebook_has, {}).filled({}) == {"year": 2020, "region": "north"}
