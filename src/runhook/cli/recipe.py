"""Reading a recipe from a file: YAML or JSON, safely and within bounds."""

import math
from datetime import date
from typing import Any, BinaryIO

import yaml

from runhook.model.recipe import is_older

LONGEST = 1024 * 1024
MOST_VALUES = 100_000
DEEPEST = 100
LONGEST_REASON = 1000


class RecipeError(Exception):
    """The file is no recipe."""


def read_recipe(file: BinaryIO) -> dict[str, Any]:
    """A recipe, of today's or the older form of the compatible contract, such as
    `.saturn/saturn.json`. One that is only the `spec`'s fields is given its frame."""
    data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise RecipeError(f"the recipe is longer than {LONGEST} bytes")
    try:
        values = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise RecipeError(
            f"the recipe is neither YAML nor JSON: {' '.join(str(error).split())[:LONGEST_REASON]}"
        ) from None
    _require_plain(values)
    if not isinstance(values, dict):
        raise RecipeError("the recipe must be a mapping, such as `type: job` and `spec: …`")
    values = _as_json(values)
    framed = "spec" in values or "type" in values or is_older(values)
    return values if framed else {"type": "job", "spec": values}


def _require_plain(values: Any) -> None:
    """Raise RecipeError unless `values` can be said in JSON, written out whole: YAML can name a
    part again and again, so that a short text stands for more than there is memory."""
    waiting, seen = [(values, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if seen > MOST_VALUES or depth > DEEPEST:
            raise RecipeError(
                "the recipe is too large: parts are nested too deep, or named again and again"
            )
        if isinstance(value, dict):
            for name in value:
                if not isinstance(name, str):
                    raise RecipeError(
                        f"a name in the recipe is no text: {name!r}; put it in quotes"
                    )
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value]
        elif value is not None and not isinstance(value, (str, int, float, date)):
            raise RecipeError(f"a value in the recipe is no plain text: {value}; put it in quotes")
        elif isinstance(value, float) and not math.isfinite(value):
            raise RecipeError(f"a number in the recipe is none that JSON has: {value}")


def _as_json(value: Any) -> Any:
    """YAML has dates, and takes `2026-01-31` for one; JSON says them as text."""
    if isinstance(value, dict):
        return {str(name): _as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value
