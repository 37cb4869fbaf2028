"""What pydantic found wrong, as one sentence per field."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError


def field_errors(error: ValidationError, model: type[BaseModel]) -> dict[str, str]:
    """`{"schedules.0.zone": "…"}`: each wrong field by its path, with what to do about it.

    An error of the whole that begins with `name: ` is put under that name.
    """
    found: dict[str, str] = {}
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"])
        sentence = _sentence(item)
        if item["type"] == "extra_forbidden":
            sentence = "is not known" + nearest(str(item["loc"][-1]), model.model_fields)
        head, colon, rest = sentence.partition(": ")
        if not path and colon and head.isidentifier():
            path, sentence = head, rest
        found.setdefault(path or "definition", sentence)
    return found


def _sentence(item: Any) -> str:
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    message = str(item["msg"])
    return message[:1].lower() + message[1:]


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean x?` with the nearest of the known names, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
