"""Text of a terminal as HTML: colours and weights (SGR, ECMA-48 8.3.117) become classes, a carriage
return begins its line anew, every other control is dropped. No style is written, only classes."""

import re
from collections.abc import Iterator
from itertools import islice

from markupsafe import Markup, escape

LONGEST, HEAD = 100_000, 20_000
MOST_CODES = 64
"""Of one sequence; nobody writes more than a few."""
SEQUENCE = re.compile(
    r"\x1b\[([0-9;:]*)m"
    r"|\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
CUBE = ((0, 4, 2, 6), (1, 5, 3, 7))
"""The base colour whose blue, green and red are on, as CUBE[red][2 * green + blue]."""


def terminal(text: str) -> Markup:
    """The text as the inside of a `<pre>`, at most so long that a page bears it."""
    if len(text) > LONGEST:
        left = len(text) - LONGEST
        note = f"\n… {left} characters are left out here; the notebook's file has them …\n"
        text = text[:HEAD] + note + text[HEAD - LONGEST :]
    lines = (_last_state(line) for line in text.replace("\r\n", "\n").split("\n"))
    return Markup("").join(_spans("\n".join(lines)))


def _last_state(line: str) -> str:
    """What is to be seen of a line that was written over, as a progress bar is."""
    return next((part for part in reversed(line.split("\r")) if part), "")


def _spans(text: str) -> Iterator[Markup]:
    at, style = 0, frozenset[str]()
    for found in SEQUENCE.finditer(text):
        yield from _span(text[at : found.start()], style)
        at = found.end()
        if found[1] is not None:
            style = _styled(style, found[1])
    yield from _span(text[at:], style)


def _span(text: str, style: frozenset[str]) -> Iterator[Markup]:
    if text and style:
        yield Markup('<span class="{}">{}</span>').format(" ".join(sorted(style)), text)
    elif text:
        yield escape(text)


def _styled(style: frozenset[str], codes: str) -> frozenset[str]:
    parts = re.split("[;:]", codes or "0", maxsplit=MOST_CODES)[:MOST_CODES]
    numbers = iter([int(each[:4] or 0) for each in parts])
    for code in numbers:
        if code == 0:
            style = frozenset()
        elif code in (38, 48):
            style = _coloured(style, "fg" if code == 38 else "bg", _extended(numbers))
        elif code in (1, 3, 4):
            style |= {{1: "bold", 3: "italic", 4: "underlined"}[code]}
        elif code in (22, 23, 24):
            style -= {{22: "bold", 23: "italic", 24: "underlined"}[code]}
        elif code in (39, 49):
            style = _coloured(style, "fg" if code == 39 else "bg", None)
        elif 30 <= code <= 47 or 90 <= code <= 107:
            base = code % 10
            style = _coloured(style, "fg" if (code // 10) % 2 else "bg", base if base < 8 else None)
    return style


def _coloured(style: frozenset[str], prefix: str, colour: int | None) -> frozenset[str]:
    kept = frozenset(each for each in style if not each.startswith(prefix))
    return kept if colour is None else kept | {f"{prefix}{colour}"}


def _extended(numbers: Iterator[int]) -> int | None:
    """The base colour nearest to `5;n` or `2;r;g;b`, which are taken off the front."""
    form = next(numbers, None)
    if form == 2:
        parts = list(islice(numbers, 3))
        return _nearest(*parts) if len(parts) == 3 else None
    number = next(numbers, None) if form == 5 else None
    if number is None:
        return None
    if number < 16:
        return number % 8
    if number > 231:
        return None  # a shade of grey: the text's own colour can be read on any ground
    red, rest = divmod(number - 16, 36)
    return _nearest(*(each * 51 for each in (red, *divmod(rest, 6))))


def _nearest(red: int, green: int, blue: int) -> int | None:
    strongest = max(red, green, blue)
    if strongest - min(red, green, blue) < 40:
        return None
    on = [each * 2 > strongest for each in (red, green, blue)]
    return CUBE[on[0]][2 * on[1] + on[2]] if not (on[0] and on[1] and on[2]) else None
