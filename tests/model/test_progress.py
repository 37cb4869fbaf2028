"""How far a notebook has come and how long it still takes: examples, and properties."""

import math
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook.model.progress import (
    CellTimes,
    Trace,
    about,
    is_stalled,
    matched,
    progress,
    time_left,
)

SECONDS = st.floats(min_value=0, max_value=1e6)
HISTORY = st.lists(st.lists(SECONDS, max_size=5).map(lambda each: tuple(sorted(each))), max_size=8)


def trace(*lines: tuple[float, str, dict[str, object]], ids: str = "abc") -> Trace:
    made = Trace()
    cells = [{"id": each, "index": number} for number, each in enumerate(ids, 1)]
    made.tell(0.0, "plan", {"of": len(ids), "cells": cells})
    for line in lines:
        made.tell(*line)
    return made


def ended(cell: int, at: float, status: str = "ok", seconds: float = 1.0) -> list[object]:
    told = {"cell": cell, "seconds": seconds, "status": status}
    return [(at - seconds, "started", {"cell": cell}), (at, "finished", told)]


def test_the_time_that_is_left_is_made_of_medians_cell_by_cell() -> None:
    earlier = [CellTimes("abc", {0: a, 1: b, 2: 10.0}) for a, b in ((1, 4), (2, 5), (9, 6))]
    now = trace(*ended(1, 2.0), (2.0, "started", {"cell": 2}))  # type: ignore[arg-type]
    found = progress(now, earlier, 3.0)
    assert found is not None
    assert (found.cell, found.of, found.done, found.cell_elapsed) == (2, 3, 1, 1.0)
    assert found.left == (5 - 1) + 10
    assert found.sentence == "cell 2 of 3, about 15 s left"
    at_first = progress(trace(), [], 1.0)
    assert at_first is not None
    assert at_first.sentence == "starting the kernel for 3 cells"
    assert progress(Trace(), earlier, 3.0) is None


def test_a_cell_that_was_moved_or_rewritten_is_known_by_its_id() -> None:
    earlier = [CellTimes(["a", "b"], {0: 1.0, 1: 8.0})]
    assert matched(["b", "new", "a"], earlier) == [(8.0,), (), (1.0,)]
    assert matched(["x", "y", "z"], earlier) == [(1.0,), (8.0,), ()]  # no id is known: by place
    assert matched(["", ""], [CellTimes(["", ""], {1: 2.0})]) == [(), (2.0,)]


def test_a_cell_that_is_overdue_leaves_no_estimate() -> None:
    earlier = [CellTimes("abc", {0: 4.0, 1: 1.0})] * 3
    begun = trace((0.0, "started", {"cell": 1}))
    sentences = [found.sentence for at in (1, 5, 8) if (found := progress(begun, earlier, at))]
    assert sentences == [
        *("cell 1 of 3, about 6 s left", "cell 1 of 3, about 4 s left"),
        "cell 1 of 3, longer than in any earlier run",
    ]


def test_only_cells_that_succeeded_count_for_later_runs() -> None:
    told = trace(*ended(1, 2.0), *ended(2, 3.0, "error"), *ended(3, 3.0, "never_ran"))  # type: ignore[arg-type]
    assert told.times == CellTimes(("a", "b", "c"), {0: 1.0})


def test_a_cell_is_stalled_far_beyond_its_slowest_run_and_not_before() -> None:
    assert not is_stalled((1.0, 1.0), 1e9)  # two runs tell too little
    assert not is_stalled((1.0, 1.0, 2.0), 31.9)
    assert is_stalled((1.0, 1.0, 2.0), 32.1)
    assert not is_stalled((1.0, 1.0, 100.0), 299.0)
    assert is_stalled((1.0, 1.0, 100.0), 301.0)
    earlier = [CellTimes("abc", {0: 2.0})] * 3
    found = progress(trace((0.0, "started", {"cell": 1})), earlier, 240.0)
    assert found is not None
    assert found.sentence == "cell 1 of 3 has taken 4 min, and never more than 2 s before"


@given(HISTORY, st.data())
def test_what_is_left_is_never_negative_and_shrinks_as_cells_end(
    history: list[tuple[float, ...]], data: st.DataObject
) -> None:
    places = range(len(history))
    over = data.draw(st.sets(st.sampled_from(places))) if history else set()
    running = data.draw(st.one_of(st.none(), st.sampled_from(places))) if history else None
    taken = data.draw(SECONDS)
    left = time_left(history, over, running, taken)
    if not any(history):
        assert left is None
        return
    assert left is not None
    assert left >= 0
    assert math.isfinite(left)
    for place in set(places) - over:
        less = time_left(history, over | {place}, running, taken)
        assert less is not None
        assert less <= left or math.isclose(less, left, rel_tol=1e-9, abs_tol=1e-9)
    assert time_left(history, set(places), running, taken) == 0


@given(st.lists(SECONDS, min_size=1, max_size=9), st.integers(1, 9))
def test_runs_that_are_all_alike_are_foretold_exactly(seconds: list[float], runs: int) -> None:
    ids = [str(number) for number, _ in enumerate(seconds)]
    history = matched(ids, [CellTimes(ids, dict(enumerate(seconds)))] * runs)
    left = time_left(history, (), None, 0.0)
    assert left == pytest.approx(sum(seconds))
    assert left == pytest.approx(sum(median(each) for each in history))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
LINES = st.tuples(
    st.floats(0, 2**33),
    st.sampled_from(("plan", "started", "output", "finished", "else")),
    st.fixed_dictionaries({}, optional={"cell": st.integers(0, 4) | ANYTHING, "cells": ANYTHING,
                                        "seconds": ANYTHING, "status": ANYTHING}),
)  # fmt: skip


@given(st.lists(LINES, max_size=12), st.floats(0, 2**33))
def test_whatever_a_file_holds_the_answer_is_one_that_can_be_shown(
    lines: list[tuple[float, str, dict[str, object]]], now: float
) -> None:
    for made in (Trace(), trace()):
        for line in lines:
            made.tell(*line)
        found = progress(made, [made.times], now)
        if found is None:
            continue
        assert found.sentence
        assert 0 <= found.done <= found.of
        assert found.cell is None or 0 < found.cell <= found.of
        assert found.elapsed >= 0
        assert found.left is None or found.left >= 0


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_longer_is_never_said_to_be_shorter(first: float, second: float) -> None:
    def read(text: str) -> float:
        words = text.split()
        units = {"s": 1, "min": 60, "h": 3600}
        return sum(int(a) * units[b] for a, b in zip(words[::2], words[1::2], strict=True))

    short, long = sorted((first, second))
    assert read(about(short)) <= read(about(long))
