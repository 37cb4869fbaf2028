"""Reading a recipe from a file: YAML or JSON, safely and within bounds."""

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
    return values if "spec" in values or "type" in values else {"type": "job", "spec": values}
