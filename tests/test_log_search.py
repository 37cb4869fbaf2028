"""Looking for something in a log: the next line that shows it, in bounded time."""

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook import log_lines, log_search
from runhook.errors import Invalid
from runhook.log_lines import BLOCK, Index
from runhook.log_search import Hit, Wanted, find_words, first_error, search, shown


def found(path: Path, text: str, first: int = 1, **more: bool) -> Hit:
    return asyncio.run(search(path, Wanted(text, first, **more)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Long enough for several blocks; the word of interest stands in lines 3, 40,000 and 90,000."""
    path = tmp_path / "log"
    special = {3: "\x1b[31mA Needle\x1b[0m", 40_000: "needle [again", 90_000: "the last needle"}
    with path.open("w") as log:
        for number in range(1, 90_101):
            log.write(special.get(number, f"\x1b[32mline\x1b[0m {number}") + "\n")
    assert path.stat().st_size > 3 * BLOCK
    return path


@pytest.mark.parametrize("expression", [False, True], ids=["words", "expression"])
def test_the_next_and_the_previous_line_are_found(path: Path, expression: bool) -> None:
    for first, line in ((1, 3), (3, 3), (4, 40_000), (40_001, 90_000), (90_001, None)):
        assert found(path, "NEEDLE", first, expression=expression).line == line
    for first, line in ((90_100, 90_000), (89_999, 40_000), (40_000, 40_000), (39_999, 3)):
        assert found(path, "needle", first, back=True, expression=expression).line == line
    assert found(path, "needle", 2, back=True, expression=expression) == Hit()


def test_words_are_no_expression_and_what_is_not_shown_is_not_found(path: Path) -> None:
    assert found(path, "needle [").line == 40_000
    assert found(path, "32m").line is None
    assert found(path, r"^line 7\d{4}$", expression=True).line == 70_000
    assert found(path, "[31mA").line is None


@given(st.lists(st.sampled_from(["ab", "b", "ca", ""]), min_size=1, max_size=8), st.integers(1, 9))
def test_words_are_found_where_reading_it_all_would_find_them(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], first: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_text("\n".join(lines))
    fits = [number for number, line in enumerate(lines, 1) if "a" in line]
    after = [number for number in fits if number >= first]
    before = [number for number in fits if number <= first]
    assert find_words(path, Wanted("a", first)).line == (after[0] if after else None)
    back = Wanted("a", first, back=True)
    assert find_words(path, back).line == (before[-1] if before else None)


def test_a_word_across_two_blocks_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\n" * (BLOCK - 3) + b"needle\n" + b"\n" * BLOCK)
    assert found(path, "needle").line == BLOCK - 2
    assert found(path, "needle", 2 * BLOCK, back=True).line == BLOCK - 2


def through(path: Path, text: str, first: int = 1, **more: bool) -> list[Hit]:
    """All answers until one is the last, each going on where the one before says."""
    hits = [found(path, text, first, **more)]
    while (resume := hits[-1].resume) is not None:
        hits.append(found(path, text, resume, **more))
        assert len(hits) < 100
    return hits


@pytest.fixture
def slowly_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at a log counts one more block of it only."""
    extend = Index.extend
    monkeypatch.setattr(Index, "extend", lambda index: extend(index, patience=-1))
    log_lines._known.clear()


@pytest.mark.usefixtures("slowly_counted")
@pytest.mark.parametrize("expression", [False, True], ids=["words", "expression"])
def test_what_is_not_counted_yet_is_no_reason_to_say_there_is_none(
    path: Path, expression: bool
) -> None:
    hits = through(path, "the last needle", expression=expression)
    assert hits[-1] == Hit(90_000)
    assert len(hits) > 2
    log_lines._known.clear()
    assert found(path, "last needle", 90_100, back=True, expression=expression) == Hit(90_000)
    log_lines._known.clear()
    assert through(path, "no such thing", expression=expression)[-1] == Hit()


@pytest.mark.usefixtures("slowly_counted")
def test_a_line_that_is_not_counted_in_time_is_asked_for_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_search, "COUNTING_SECONDS", -1)
    for more in ({}, {"expression": True}, {"back": True}):
        log_lines._known.clear()
        assert found(path, "needle", 89_999, **more) == Hit(resume=89_999)


@pytest.mark.parametrize("back", [False, True], ids=["onwards", "back"])
def test_a_line_that_is_longer_than_the_patience_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    monkeypatch.setattr(log_search, "PATIENCE", -1)
    path = tmp_path / "log"
    path.write_bytes(b"needle\n" + b"x" * 3 * BLOCK + b"in\n" + b"needle\n")
    assert through(path, "needle", 2, back=back)[-1] == Hit(1 if back else 3)
    assert through(path, "in", 2, back=back)[-1] == Hit()
    assert through(path, "xxx", 2, back=back)[-1] == Hit(2)


def test_an_expression_that_never_ends_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a" * 200 + "\n")
    begun = time.monotonic()
    with pytest.raises(Invalid) as refusal:
        found(path, "(a|aa)+b", expression=True)
    assert "simpler" in refusal.value.details["text"]
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("text", ["(", "", "a\nb", "x" * 201, "a{99999999999}"])
def test_what_cannot_be_looked_for_is_told(path: Path, text: str) -> None:
    with pytest.raises(Invalid):
        found(path, text, expression=True)


def test_the_first_error_is_found_however_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("no terror\nfine\n  raise\nValueError: it\nERROR again\n")
    assert asyncio.run(first_error(path)).line == 4
    assert asyncio.run(first_error(path, 5)).line == 5
    assert asyncio.run(first_error(path, 6)).line is None


def test_tokens_of_runs_cannot_be_guessed_by_looking_for_them(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("rhr_" + "a" * 72 + "\n")
    assert found(path, "rhr_a").line is None
    assert found(path, "rhr_[a]", expression=True).line is None
    assert found(path, "rhr_*").line == 1


def test_what_is_searched_is_what_is_shown() -> None:
    assert shown(b"\x1b[1mbold\x1b[0m\x07 10%\r20%\r") == "20%"
