"""Reading a recipe from a file: YAML or JSON, safely and within bounds."""

from datetime import date
from typing import Any, BinaryIO

import yaml

LONGEST = 1024 * 1024


class RecipeError(Exception):
    """The file is no recipe."""


def read_recipe(file: BinaryIO) -> dict[str, Any]:
    """A recipe. One that is only the `spec`'s fields is given its frame."""
    data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise RecipeError(f"the recipe is longer than {LONGEST} bytes")
    try:
        values = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(
            f"the recipe is neither YAML nor JSON: {' '.join(str(error).split())}"
        ) from None
    if not isinstance(values, dict):
        raise RecipeError("the recipe must be a mapping, such as `type: job` and `spec: …`")
    values = _as_json(values)
    return values if "spec" in values or "type" in values else {"type": "job", "spec": values}


def _as_json(value: Any) -> Any:
    """YAML has dates, and takes `2026-01-31` for one; JSON says them as text."""
    if isinstance(value, dict):
        return {str(name): _as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value
