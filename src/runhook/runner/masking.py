"""Secrets taken out of what a run leaves behind: its log, its outputs, its reasons.

For every value the masker knows how it looks in the ways that it usually gets out: as it is, each
long line of it, in base64 wherever it begins in what was encoded (RFC 4648, only the characters
that do not depend on the neighbours), percent-encoded, as the inside of a JSON, Python or HTML
text, in hexadecimal. Each of them becomes `***`. It is no protection against a job that wants to
tell a secret: that one can always find another way to write it.

Text comes in pieces that may be cut anywhere. Held back is only the longest end of a piece that may
be the beginning of a pattern, so that a log stays live; what comes out is the same however the
pieces were cut.
"""

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import quote, quote_plus

SHORTEST, SHORTEST_LINE = 4, 8
WRAPPED, SHORTEST_WRAPPED = (64, 76), 47
"""The widths of lines in which programs write base64, and of what length it takes more than one."""
ANCHOR = 8
"""A pattern's beginning is looked for by so many bytes at once."""
WORDS = frozenset({"true", "false", "null"})
MARKS = ("***", "###", "___", "...")


def is_masked(value: str) -> bool:
    """Is it long enough, and no word of JSON itself?"""
    return len(_bytes(value)) >= SHORTEST and value not in WORDS


class Masker:
    """Knows the patterns of some values. Values with fewer than four bytes are left as they are."""

    def __init__(self, values: list[str]) -> None:
        kept = sorted({value for value in values if is_masked(value)})
        patterns = {pattern for value in kept for pattern in _patterns(value)}
        self._patterns = sorted(patterns, key=lambda each: (-len(each), each))
        self.mark = _mark(patterns)
        self._longest = max((len(each) for each in patterns), default=0)
        self._anchors = {p[:ANCHOR] for p in patterns if len(p) > ANCHOR}
        self._short = {p[:n] for p in patterns for n in range(1, min(len(p), ANCHOR + 1))}

    def __repr__(self) -> str:
        return f"Masker({len(self._patterns)} patterns)"

    def __bool__(self) -> bool:
        """Is there anything to be masked?"""
        return bool(self._patterns)

    def mask(self, data: bytes) -> bytes:
        """`data`, which is whole, without any pattern."""
        out, at = [], 0
        for start, stop in self.matches(data):
            out += [data[at:start], self.mark]
            at = stop
        return b"".join([*out, data[at:]]) if out else data

    def mask_text(self, text: str) -> str:
        """The same for text."""
        data = text.encode("utf-8", "surrogatepass")
        masked = self.mask(data)
        return text if masked is data else masked.decode("utf-8", "surrogatepass")

    def mask_value(self, value: Any) -> Any:
        """The same for every text and number in a JSON value, names of fields included. A list of
        lines, as notebooks have it, is one text, and masked as one."""
        if isinstance(value, str):
            return self.mask_text(value)
        if isinstance(value, dict):
            return {self.mask_value(name): self.mask_value(each) for name, each in value.items()}
        if isinstance(value, list):
            return self._list(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            text = str(value)
            masked = self.mask_text(text)
            return value if masked == text else masked
        return value

    def _list(self, value: list[Any]) -> list[Any]:
        lines = all(isinstance(each, str) for each in value)
        if lines and all(each.endswith("\n") for each in value[:-1]):
            whole = "".join(value)
            masked = self.mask_text(whole)
            if masked != whole:
                return masked.splitlines(keepends=True)
        return [self.mask_value(each) for each in value]

    def matches(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where patterns begin and end, none within another; of those that begin at one place, the
        longest."""
        at = 0
        following = {p: start for p in self._patterns if (start := data.find(p)) >= 0}
        while following:
            start, length = min((start, -len(p)) for p, start in following.items())
            at = start - length
            yield start, at
            following = {
                p: later
                for p, where in following.items()
                if (later := where if where >= at else data.find(p, at)) >= 0
            }

    def open_end(self, data: bytes, at: int) -> int:
        """Where the longest end of `data[at:]` begins that may be the beginning of a pattern, cut
        short; the length of `data` if there is none."""
        earliest = max(at, len(data) - self._longest + 1)
        for start in self._anchored(data, earliest):
            end = data[start:]
            if any(len(p) > len(end) and p.startswith(end) for p in self._patterns):
                return start
        for length in range(min(ANCHOR, len(data) - earliest), 0, -1):
            if data[-length:] in self._short:
                return len(data) - length
        return len(data)

    def _anchored(self, data: bytes, earliest: int) -> list[int]:
        """Where the beginning of a pattern stands, earliest first."""
        found = set()
        for anchor in self._anchors:
            start = data.find(anchor, earliest)
            while start >= 0:
                found.add(start)
                start = data.find(anchor, start + 1)
        return sorted(found)


class Stream:
    """Masks what comes in pieces."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = b""

    @property
    def held(self) -> bytes:
        """What is held back, as it came."""
        return self._held

    def feed(self, piece: bytes) -> bytes:
        """What can be told now: all but an end that may be the beginning of a pattern."""
        data = self._held + piece
        end = self._masker.open_end(data, 0)
        out, at = [], 0
        for start, stop in self._masker.matches(data):
            if start >= end:
                break
            out += [data[at:start], self._masker.mark]
            at = stop
            if at > end:
                end = self._masker.open_end(data, at)
        out.append(data[at:end])
        self._held = data[end:]
        return b"".join(out)

    def flush(self) -> bytes:
        """What was held back: nothing follows."""
        data, self._held = self._held, b""
        return self._masker.mask(data)


def _patterns(value: str) -> Iterator[bytes]:
    """Every way in which the value is looked for."""
    raw = _bytes(value)
    yield raw
    yield from (line for line in raw.splitlines() if len(line) >= SHORTEST_LINE)
    yield from _in_base64(raw)
    yield from (quote(raw, safe="").encode(), quote(raw).encode(), quote_plus(raw).encode())
    yield from (
        _bytes(json.dumps(value)[1:-1]),
        _bytes(json.dumps(value, ensure_ascii=False)[1:-1]),
    )
    yield from (_bytes(repr(value)[1:-1]), _bytes(html.escape(value)))
    yield from (raw.hex().encode(), raw.hex().upper().encode())


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """What is the same whatever stands before and after the value in what is encoded. A character
    holds six bits: those that hold bits of neighbours are left out. A long value may be wrapped."""
    if len(raw) > SHORTEST_WRAPPED:
        whole = b64encode(raw)[: len(raw) * 8 // 6]
        for width in WRAPPED:
            lines = (whole[at : at + width] for at in range(0, len(whole), width))
            yield from (line for line in lines if len(line) >= SHORTEST_LINE)
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(b"\0" * before + raw)[first:last]


def _mark(patterns: set[bytes]) -> bytes:
    """What stands for a secret. No pattern has any of it, so that a mark and what is beside it
    never look like one."""
    used = set().union(*(each.decode("utf-8", "surrogatepass") for each in patterns))
    private = map(chr, range(0xE000, 0x110000))
    return next(_bytes(mark) for mark in chain(MARKS, private) if mark[0] not in used)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
