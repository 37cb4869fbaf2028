"""What differs between two runs: facts, packages, texts and notebooks, whatever stands in them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook.model.comparison import (
    CUT,
    MOST_LINES,
    as_text,
    commits,
    diff,
    diff_of_values,
    packages,
    pairs,
)
from runhook.model.notebook_diff import Cell, cells_of, compared

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["cells", "cell_type", "source", "metadata", "runhook", "seconds", "execution",
             "outputs", "output_type", "data", "text", "text/plain", "iopub.execute_input"]
        ),
        inner | st.sampled_from(["code", "stream", "display_data", "error", "2026-01-01T00:00:00"]),
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(), json_values), st.dictionaries(st.text(), json_values))
def test_facts_differ_exactly_where_they_do(one: dict[str, Any], two: dict[str, Any]) -> None:
    found = pairs(one, two)
    assert {each.name for each in found} == one.keys() | two.keys()
    assert all(each.same for each in pairs(one, one))
    for each in found:
        both = each.name in one and each.name in two
        assert not each.same or (both and one[each.name] == two[each.name])


def test_true_is_not_one_and_what_is_secret_is_not_told() -> None:
    assert [each.same for each in pairs({"a": True, "b": "•••"}, {"a": 1, "b": "•••"}, ["b"])] == [
        False,
        None,
    ]


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://github.com/o/n.git", "https://github.com/o/n/compare/bbb...aaa"),
        ("https://gitlab.com/o/g/n", "https://gitlab.com/o/g/n/-/compare/bbb...aaa"),
        ("https://github.com.evil.example/o/n", None),
        ("https://evil.example/github.com/o", None),
        ("https://u@github.com/o/n", None),
        ("git@github.com:o/n.git", None),
        ("javascript:alert(1)//github.com", None),
    ],
)
def test_commits_are_linked_where_the_forge_is_known(url: str, link: str | None) -> None:
    this = {"path": "n", "url": url, "commit": "aaa"}
    other = {**this, "commit": "bbb"}
    assert [(each.same, each.link) for each in commits([this], [other])] == [(False, link)]
    assert commits([this], [{**other, "url": "https://github.com/x/y"}])[0].link is None
    assert commits([this], [this])[0].same


def test_packages_are_compared_by_their_normal_names() -> None:
    this = "# a comment\nPandas==2.1 ; python_version > '3'\nnew_one==1\nsame==1\n    # via x\n"
    other = "pandas==2.0\nold==3\nsame==1\nurl @ https://h.example/x.whl\n"
    found = packages(this, other)
    assert found.changed == {"pandas": ("2.1", "2.0")}
    assert (found.added, found.same) == ({"new-one": "1"}, 1)
    assert found.removed == {"old": "3", "url": "https://h.example/x.whl"}


@given(st.text(), st.text())
def test_a_diff_is_empty_exactly_for_the_same_text(one: str, two: str) -> None:
    assert (diff(one, two) == "") == (one == two)


def test_a_diff_is_never_long() -> None:
    many = "\n".join(map(str, range(100_000)))
    found = diff(many, "x\n" * 100_000)
    assert len(found.splitlines()) <= MOST_LINES + 1
    assert diff("a" * 50_000 + "b", "a" * 50_000 + "c") != ""


@given(json_values)
def test_any_json_is_a_notebook_or_refused(value: Any) -> None:
    is_notebook = isinstance(value, dict) and isinstance(value.get("cells"), list)
    if is_notebook:
        cells_of(value)
        return
    with pytest.raises(ValueError, match="no list of cells"):
        cells_of(value)


SOURCES = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6)


@given(SOURCES, SOURCES)
def test_every_cell_of_both_is_there_once_and_in_order(one: list[str], two: list[str]) -> None:
    ours, theirs = (
        [Cell(n, source, "", "ok", 0.1) for n, source in enumerate(each, 1)] for each in (one, two)
    )
    found = compared(ours, theirs)
    assert [each.this for each in found if each.this] == ours
    assert [each.other for each in found if each.other] == theirs
    assert all(each.same for each in compared(ours, ours))


def test_cells_tell_outputs_as_text_and_how_long_they_took() -> None:
    outputs = [
        {"output_type": "stream", "text": ["one\n", "two\n"]},
        {"output_type": "execute_result", "data": {"text/plain": "3", "image/png": "abcd"}},
        {"output_type": "error", "ename": "E", "evalue": "v"},
    ]
    execution = {
        "iopub.execute_input": "2026-01-01T00:00:00Z",
        "shell.execute_reply": "2026-01-01T00:00:02.500000Z",
    }
    cells = [
        {"cell_type": "markdown", "source": "# x"},
        {"cell_type": "code", "source": ["a\n", "b"], "outputs": outputs,
         "metadata": {"execution": execution}},
        {"cell_type": "code", "source": "c", "outputs": [],
         "metadata": {"runhook": {"status": "never_ran", "seconds": 0.5}, "execution": execution}},
    ]  # fmt: skip
    first, second = cells_of({"cells": cells})
    assert (first.number, first.source, first.seconds) == (2, "a\nb", 2.5)
    assert first.outputs.startswith("one\ntwo\n3\n[image/png, 4 characters, ")
    assert first.outputs.endswith("\nE: v")
    assert (second.status, second.seconds) == ("never_ran", 0.5)


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-1", "1" + "0" * 400, "true", '"1"'])
def test_what_is_no_duration_is_none(seconds: str) -> None:
    text = '{"cell_type": "code", "metadata": {"runhook": {"seconds": SECONDS}}}'
    (cell,) = cells_of({"cells": [json.loads(text.replace("SECONDS", seconds))]})
    assert cell.seconds is None


def test_halves_of_surrogate_pairs_are_written_out() -> None:
    half = "\ud800"
    output = {"output_type": "display_data", "data": {"text/plain": half, half: half}}
    told = {"runhook": {"status": half}}
    cell = {"cell_type": "code", "source": half, "outputs": [output], "metadata": told}
    (found,) = cells_of({"cells": [cell]})
    for text in (found.source, found.outputs, found.status, as_text([half])):
        assert "\\ud800" in text
        text.encode()
    assert diff(as_text("\ud800"), as_text("\ud801"))


def test_values_nested_too_deeply_are_not_compared() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert diff_of_values(deep, [1]) == CUT
    assert diff_of_values([1], [1]) == ""
