"""Streams as they look on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook.runner.notebook.terminal import TerminalText


def terminal(most: int = 1000) -> tuple[TerminalText, list[str]]:
    spilled: list[str] = []

    def keep(text: str) -> str:
        spilled.append(text)
        return "elsewhere"

    return TerminalText(most, most, keep), spilled


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\nb", "c\n"], "a\nbc\n"),
        (["10%\r", "20%\r", "100%\n"], "100%\n"),
        (["10%", "\r", "2", "0%"], "20%"),
        (["longer\rsho\n"], "shoger\n"),
        (["a\r\nb\r\n"], "a\nb\n"),
        (["abc\b\b", "X"], "aXc"),
        (["\b\bx"], "x"),
        (["old line\r\x1b[Knew"], "new"),
        (["old line\x1b[2K\rnew"], "new"),
        (["\x1b[31mred\x1b[0m\n"], "\x1b[31mred\x1b[0m\n"),
    ],
)
def test_returns_and_backspaces_overwrite(pieces: list[str], text: str) -> None:
    stream, _ = terminal()
    for piece in pieces:
        stream.feed(piece)
    assert stream.text == text


@given(st.text("ab\r\b\n", max_size=60), st.integers(0, 60))
def test_where_a_stream_is_cut_makes_no_difference(text: str, at: int) -> None:
    whole, _ = terminal()
    whole.feed(text)
    cut, _ = terminal()
    cut.feed(text[:at])
    cut.feed(text[at:])
    assert cut.text == whole.text


@given(st.lists(st.text("abc\n", max_size=30), max_size=30))
def test_what_is_left_out_is_whole_elsewhere(pieces: list[str]) -> None:
    stream, spilled = terminal(20)
    for piece in pieces:
        stream.feed(piece)
    stream.finish()
    text = "".join(pieces)
    if spilled:
        assert "".join(spilled) == text
        assert stream.text.startswith(text[:20]) and stream.text.endswith(text[-20:])
        assert "elsewhere" in stream.text
    else:
        assert stream.text == text
