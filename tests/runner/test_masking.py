"""Masking, for any values, any text around them, and any way of cutting it."""

import base64
import html
import json
from itertools import pairwise
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from runhook.runner.collect import masked_json
from runhook.runner.masking import Masker, Stream

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60)
narrow = st.text("ab*#_.\n", max_size=12)
values = st.lists(texts | narrow, max_size=4)


def ways(value: str) -> list[bytes]:
    """How a value may be written."""
    raw = value.encode()
    return [
        raw,
        quote(value).encode(),
        quote_plus(value).encode(),
        json.dumps(value).encode(),
        json.dumps(value, ensure_ascii=False).encode(),
        html.escape(value).encode(),
        raw.hex().encode(),
        *(line for line in raw.splitlines() if len(line) >= 8),
    ]


@st.composite
def outputs(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """Some values, and an output in which they stand between other things."""
    secrets = draw(values)
    said = [b"x", *(each for value in secrets for each in ways(value))]
    pieces = st.sampled_from(said) | st.binary(max_size=9) | narrow.map(str.encode)
    return secrets, b"".join(draw(st.lists(pieces, max_size=12)))


@st.composite
def cut(draw: st.DrawFn) -> tuple[list[str], bytes, list[bytes]]:
    """The same, cut into pieces."""
    secrets, output = draw(outputs())
    places = sorted(draw(st.lists(st.integers(0, len(output)), max_size=8)))
    edges = [0, *places, len(output)]
    return secrets, output, [output[a:b] for a, b in pairwise(edges)]


def masked(masker: Masker, pieces: list[bytes]) -> bytes:
    stream = Stream(masker)
    return b"".join([*(stream.feed(each) for each in pieces), stream.flush()])


@given(cut())
def test_no_way_of_writing_a_value_survives_however_the_output_is_cut(
    case: tuple[list[str], bytes, list[bytes]],
) -> None:
    secrets, output, pieces = case
    masker = Masker(secrets)
    told = masked(masker, pieces)
    assert told == masker.mask(output)
    for value in secrets:
        if len(value.encode()) >= 4:
            assert not [each for each in ways(value) if each.strip(b'"') in told]


@given(st.text(st.characters(codec="utf-8"), min_size=4, max_size=99), st.binary(), st.binary())
def test_no_base64_of_anything_around_a_value_shows_what_is_its_own(
    value: str, before: bytes, after: bytes
) -> None:
    raw, masker = value.encode(), Masker([value])
    first, last = -(-len(before) * 8 // 6), (len(before) + len(raw)) * 8 // 6
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + raw + after)
        assert encoded[first:last] not in masker.mask(encoded)


@given(st.lists(st.binary(max_size=40)), values)
def test_an_output_without_secrets_is_the_same_to_the_byte(
    pieces: list[bytes], secrets: list[str]
) -> None:
    whole, masker = b"".join(pieces), Masker(secrets)
    if masker.mask(whole) == whole:
        assert masked(masker, pieces) == whole
    assert masked(Masker([]), pieces) == whole
    assert masked(Masker(["abc", ""]), pieces) == whole


def test_only_what_may_be_the_beginning_of_a_secret_is_held_back() -> None:
    stream = Stream(Masker(["hunter2-and-more"]))
    assert stream.feed(b"a line\nanother: hun") == b"a line\nanother: "
    assert stream.feed(b"gry") == b"hungry"
    assert stream.feed(b"hunter2-and-mor") == b""
    assert stream.feed(b"e!") == b"***!"
    assert stream.feed(b"hunter2") == b""
    assert stream.flush() == b"hunter2"


def test_a_longer_secret_is_waited_for_where_a_shorter_one_is_whole() -> None:
    stream = Stream(Masker(["pass", "password123"]))
    assert stream.feed(b"pass") == b""
    assert stream.feed(b"word1") == b""
    assert stream.feed(b"23") + stream.flush() == b"***"
    assert stream.feed(b"password1") == b""
    assert stream.flush() == b"***word1"


def test_what_is_held_back_does_not_grow_with_the_output() -> None:
    stream = Stream(Masker(["a" * 1000]))
    told = sum(len(stream.feed(b"a" * 7)) for _ in range(1000))
    assert told + len(stream.flush()) < 7000
    longest = 0
    for _ in range(300):
        stream.feed(b"b" + b"a" * 999)
        longest = max(longest, len(stream._held))
    assert longest < 1000


def test_the_lines_of_a_long_value_are_secrets_too_and_its_wrapped_base64() -> None:
    key = "-----BEGIN KEY-----\n" + "\n".join(f"line-{n:040}" for n in range(9)) + "\n"
    masker = Masker([key])
    assert masker.mask(b"line-" + b"0" * 39 + b"3") == b"***"
    for wrapped in (base64.encodebytes(key.encode()), base64.encodebytes(key.encode() + b"\n")):
        assert all(len(line) < 8 for line in masker.mask(wrapped).replace(b"***", b"").split())


def test_values_in_json_are_masked_text_by_text_and_lines_of_notebooks_as_one() -> None:
    masker = Masker(["two\nlines", "plain-secret"])
    told = masker.mask_value(
        {"plain-secret": ["a two\n", "lines b"], "n": 1, "deep": [{"x": "is plain-secret"}, None]}
    )
    assert told == {"***": ["a *** b"], "n": 1, "deep": [{"x": "is ***"}, None]}


def test_a_masker_shows_no_value() -> None:
    assert "plain-secret" not in repr(Masker(["plain-secret"]))
    assert not Masker(["abc"])
    assert Masker(["abcd"])


def test_what_is_no_text_is_masked_as_a_text_and_stays_json() -> None:
    masker = Masker(["123456", "true", "hunter2-long"])
    value = {"pin": 123456, "on": True, "nothing": None, "list": ["a", "hunter2-long", "b"]}
    expected = {"pin": "***", "on": True, "nothing": None, "list": ["a", "***", "b"]}
    assert json.loads(masked_json(json.dumps(value).encode(), masker)) == expected


def test_lines_of_a_notebook_are_masked_as_one_text() -> None:
    masker = Masker(["first line\nsecond"])
    assert masker.mask_value(["x = 1\n", "first line\n", "second"]) == ["x = 1\n", "***"]
