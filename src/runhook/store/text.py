"""Text from outside, as any database takes it."""

from collections.abc import Sequence
from typing import Any

LONGEST_REASON = 2_000
LONGEST_NAME = 32


def storable(facts: dict[str, Any]) -> dict[str, Any]:
    """Columns with text that a runner wrote, as any database takes it."""
    longest = {"reason": LONGEST_REASON, "step": LONGEST_NAME, "isolation": 255}
    return {
        name: clean(value, longest[name]) if name in longest else value
        for name, value in facts.items()
    }


def clean(text: str | None, longest: int | None = LONGEST_REASON) -> str | None:
    """Text that any database takes: no NUL, no lone surrogate, bounded."""
    if text is None:
        return None
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def cleaned(value: Any) -> Any:
    """`value` (JSON) with every text in it `clean`."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): cleaned(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [cleaned(item) for item in value]
    return value
