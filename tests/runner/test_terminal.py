"""Streams as they look on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook.runner.masking import Masker
from runhook.runner.notebook.endings import LONGEST, of_reply
from runhook.runner.notebook.terminal import TerminalText

SECRET = "".join(chr(ord("A") + (n * 7) % 26) + str(n % 10) for n in range(20))
FRAGMENTS = [SECRET[at : at + 8] for at in range(len(SECRET) - 7)]
LINES = "-----BEGIN-----\nabcdefghijklmn\nopq\n-----END-----"


def terminal(most: int = 1000, *secrets: str) -> tuple[TerminalText, list[str]]:
    spilled: list[str] = []

    def keep(text: str) -> str:
        spilled.append(text)
        return "elsewhere"

    return TerminalText(most, most, keep, Masker(list(secrets))), spilled


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


@pytest.mark.parametrize("most", range(100, 160))
def test_no_secret_is_cut_before_it_is_masked(most: int) -> None:
    stream, spilled = terminal(most, SECRET)
    for _ in range(40):
        stream.feed(f"GET /x?token={SECRET}\n")
    stream.finish()
    assert "left out" in stream.text
    for kept in (stream.text, "".join(spilled)):
        assert not [each for each in FRAGMENTS if each in kept]


@given(st.lists(st.integers(1, 40), min_size=1), st.integers(8, 60))
def test_a_secret_of_many_lines_is_masked_wherever_it_is_cut(sizes: list[int], most: int) -> None:
    stream, spilled = terminal(most, LINES)
    text, masker = f"a {LINES} b\n" * 9, Masker([LINES])
    rest = text
    for size in [*sizes, len(text)]:
        stream.feed(rest[:size])
        rest = rest[size:]
    for kept in (masker.mask_text(stream.text), masker.mask_text("".join(spilled))):
        assert not [each for each in ("BEGIN", "abcdefgh", "opq", "END") if each in kept]
    stream.finish()
    for kept in (stream.text, "".join(spilled)):
        assert not [each for each in ("BEGIN", "abcdefgh", "opq", "END") if each in kept]


def test_what_may_be_the_beginning_of_a_secret_is_shown_at_once() -> None:
    stream, _ = terminal(1000, SECRET)
    stream.feed(f"{SECRET[0]}\n{SECRET[:3]}")
    assert stream.text == f"{SECRET[0]}\n{SECRET[:3]}"


@pytest.mark.parametrize("before", range(LONGEST - len(SECRET) - 20, LONGEST, 3))
def test_a_reason_is_masked_before_it_is_cut(before: int) -> None:
    content = {"status": "error", "ename": "E", "evalue": "x" * before + SECRET + "y" * LONGEST}
    reason = of_reply(content, 1, False, Masker([SECRET])).reason
    assert reason and not [each for each in FRAGMENTS if each in reason]
