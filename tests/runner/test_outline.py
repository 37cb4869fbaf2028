"""What notebooks and scripts tell by their text: nothing that is written there can break it, and it
agrees with the contract that the server reads in the same cell."""

import ast
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runhook.model.inference import contract_of_cell
from runhook.runner.outline import assigned, outline_of

NAMES = st.sampled_from(["a", "b_1", "région", "_x", "year"])
VALUES = st.sampled_from(["1", "'x'", "[1, 2]", "f(2)", "None", "{'a': 1}"])
LINES = st.one_of(
    st.builds("{} = {}".format, NAMES, VALUES),
    st.builds("{}: int = {}".format, NAMES, VALUES),
    st.builds("{}: str".format, NAMES),
    st.builds("{} += {}".format, NAMES, VALUES),
    st.builds("{} = {} = 3".format, NAMES, NAMES),
    st.builds("({}, {}) = 1, {}".format, NAMES, NAMES, VALUES),
    st.builds("{}, [{}] = f()".format, NAMES, NAMES),
    st.builds("print({})".format, NAMES),
    st.builds("o.{} = 1".format, NAMES),
    st.just("%time"),
    st.just("# a comment"),
)


@given(st.lists(LINES, max_size=8))
def test_the_runner_knows_every_name_that_the_contract_has(lines: list[str]) -> None:
    cell = "\n".join(lines)
    names = assigned(cell)
    assert names is not None
    assert set(contract_of_cell(cell).parameters) <= names


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    assigned(text)
    for path in ("a.py", "a.ipynb", "a.sh"):
        outline_of(path, text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["cells", "worksheets", "cell_type", "source", "metadata", "tags", "kernelspec"]
            ),
            inner | st.sampled_from(["code", ["parameters"], "a = 1"]),
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(json_values)
@settings(max_examples=200)
def test_any_json_is_a_notebook_or_refused_with_a_sentence(value: Any) -> None:
    outline = outline_of("n.ipynb", json.dumps(value))
    assert outline.problem is None or outline.problem.startswith("this is no notebook")


def test_deep_nesting_is_refused() -> None:
    assert outline_of("n.ipynb", "[" * 200_000).problem
    assert assigned("(" * 5_000 + ")" * 5_000) is None
    assert assigned("x = " + "-" * 50_000 + "1") is None


def test_imports_are_those_of_packages_wherever_they_stand() -> None:
    code = "import os, pandas.io\ndef f():\n    from sklearn.x import y\nfrom . import z\n"
    assert outline_of("a.py", code).imports == ("pandas", "sklearn")
    assert ast.parse(code)
