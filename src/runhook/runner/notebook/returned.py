"""What a notebook returns: values that are glued, or shown by a cell tagged `result`."""

import ast
import json
import math
from typing import Any

from nbformat import NotebookNode

from runhook.runner.notebook.client import Message
from runhook.runner.notebook.document import tags

TAG = "result"
SCRAP, JSON = "application/scrapbook.scrap.", "+json"
"""scrapbook's media types (nteract-scrapbook.readthedocs.io, "Models"): a name, data, and how it
was encoded. Those encoded as text and JSON are values; the others refer to what no run returns."""
ENCODERS = ("text", "json")
LONGEST_LITERAL = 1024 * 1024


class Returned:
    """Hears every output of a notebook as it was published, before anything is left out."""

    def __init__(self) -> None:
        self._glued: dict[str, Any] = {}
        self._shown: tuple[Any] | None = None

    def hear(self, message: Message, cell: NotebookNode) -> None:
        """A later value takes the place of an earlier one."""
        if message["msg_type"] not in ("display_data", "execute_result"):
            return
        data = message["content"]["data"]
        glued = False
        for kind, value in data.items():
            if kind.startswith(SCRAP) and kind.endswith(JSON):
                glued = True
                self._glue(value)
        if TAG in tags(cell) and not glued:
            self._shown = (_value_of(data),)

    def _glue(self, scrap: Any) -> None:
        if isinstance(scrap, dict) and scrap.get("encoder") in ENCODERS and "data" in scrap:
            self._glued[str(scrap.get("name"))] = scrap["data"]

    def as_json(self) -> bytes | None:
        """The value as JSON: what the cell tagged `result` showed last, else the glued values by
        their names; None if there is neither."""
        value = self._shown[0] if self._shown else self._glued
        if not self._shown and not self._glued:
            return None
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _value_of(data: dict[str, Any]) -> Any:
    """JSON as it is; a text that is a Python literal as that value; any other text as text."""
    if "application/json" in data:
        return data["application/json"]
    text = str(data.get("text/plain", ""))
    if len(text) > LONGEST_LITERAL:
        return text
    try:
        return _plain(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _plain(value: Any) -> Any:
    """A literal as JSON has it; ValueError if JSON has nothing like it."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {_name(name): _plain(each) for name, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("JSON has no such number")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ValueError("JSON has no such value")


def _name(name: Any) -> str:
    if isinstance(name, (str, int)) and not isinstance(name, bool):
        return str(name)
    raise ValueError("JSON has no such name")
