"""Durations and sizes as people write them: `90`, `"1h 30m"`, `"2GB"`. The form that was given is
kept, so that a definition comes back as it was written; `seconds` and `byte_count` read it."""

import re
from typing import Annotated

from pydantic import AfterValidator

DURATION = re.compile(r"^(\d+(?:\.\d+)?(?:ms|[smhdw])\s*)+$")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([kMGT]i?)?B?$", re.IGNORECASE)
POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
LONGEST = 100 * 366 * 86_400
LARGEST = 2**60


def seconds(value: float | str) -> float:
    """`90` → 90.0, `"1h 30m"` → 5400.0. ValueError, as a sentence, for anything else."""
    if isinstance(value, str):
        text = value.strip()
        if not DURATION.match(text):
            raise ValueError("write seconds, or a duration such as 90s, 1h 30m or 7d")
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", text)
        value = float(sum(float(number) * SECONDS[unit] for number, unit in parts))
    if not 0 < value <= LONGEST:
        raise ValueError("a duration is longer than nothing and at most 100 years")
    return float(value)


def delay_seconds(value: float | str) -> float:
    """Like `seconds`, and 0 for none."""
    return 0.0 if value in (0, "0", "0s") else seconds(value)


def byte_count(value: int | str) -> int:
    """`"2GB"` → 2·10⁹, `"2GiB"` → 2·2³⁰, a number → that many bytes. ValueError as a sentence."""
    if isinstance(value, str):
        match = SIZE.match(value.strip())
        if not match:
            raise ValueError("write bytes, or a size such as 500MB, 2GB or 1.5GiB")
        prefix = (match[2] or "").lower()
        base = 1024 if prefix.endswith("i") else 1000
        count = round(float(match[1]) * float(base ** POWERS[prefix[:1]]))
    else:
        count = value
    if not 0 < count <= LARGEST:
        raise ValueError("a size is more than nothing and less than 2^60 bytes")
    return count


def shown_bytes(count: float) -> str:
    """`2100000000` → `2.1 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _duration(value: float | str) -> float | str:
    seconds(value)
    return value


def _delay(value: float | str) -> float | str:
    return value if value in (0, "0", "0s") else _duration(value)


def _size(value: int | str) -> int | str:
    byte_count(value)
    return value


Duration = Annotated[int | float | str, AfterValidator(_duration)]
"""Seconds, or text such as `1h 30m`."""
Delay = Annotated[int | float | str, AfterValidator(_delay)]
"""The same, or 0 for none; `delay_seconds` reads it."""
Size = Annotated[int | str, AfterValidator(_size)]
"""Bytes, or text such as `2GB`."""
