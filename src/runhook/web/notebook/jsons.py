"""JSON that an output shows, as text: read and kept compact, shown over several lines."""

import json
from typing import Any

LONGEST = 1_000_000
TOO_LONG = (
    "[application/json of {} characters: too long to be shown here; the notebook’s file has it]"
)


def compact(value: Any) -> str:
    """As one line, or, of what is very long, a sentence. RecursionError if it is nested too
    deeply."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else TOO_LONG.format(len(text))


def indented(text: str) -> str:
    """What `compact` made, for people; as it is if it cannot be laid out."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
