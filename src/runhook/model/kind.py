"""Types of parameters: how they are written, which JSON values they take, how a schema says it.

A type is written as Python annotates it, without quotes: `int`, `list[str]`, `dict[str, float]`,
`Literal["a", "b"]`, `int | None`, `date`; `model.annotation` reads that.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

SHOWN = 60
LARGEST_FLOAT = 2**1024 - 2**970
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?"
)


@dataclass(frozen=True)
class Kind:
    """A type. `name` is one of `NAMES`; `inner` are the item of a list, the value of a dict or the
    alternatives of a union; `values` are those of a literal."""

    name: str
    inner: tuple["Kind", ...] = ()
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        match self.name:
            case "list" if self.inner:
                return f"list[{self.inner[0]}]"
            case "dict" if self.inner:
                return f"dict[str, {self.inner[0]}]"
            case "union":
                return " | ".join(str(each) for each in self.inner)
            case "literal":
                return f"Literal[{', '.join(map(repr, self.values))}]"
        return self.name

    @property
    def alternatives(self) -> tuple["Kind", ...]:
        """The members of a union; of any other type itself."""
        return self.inner if self.name == "union" else (self,)

    @property
    def optional(self) -> bool:
        """Does it take null?"""
        return any(each.name in ("None", "any") for each in self.alternatives)

    @property
    def given(self) -> "Kind":
        """The same without null."""
        return union(*(each for each in self.alternatives if each.name != "None"))

    def problem(self, value: Any) -> str | None:
        """Why a JSON value is not of this type, as `is … and not …`; None if it is."""
        if self._takes(value):
            return None
        deeper = next(self._inside(value), None)
        return deeper or f"takes {self.words}, and this is {told(value)}"

    def _takes(self, value: Any) -> bool:
        match self.name:
            case "union":
                return any(each._takes(value) for each in self.inner)
            case "literal":
                return any(type(each) is type(value) and each == value for each in self.values)
            case "list" if self.inner:
                return isinstance(value, list) and all(map(self.inner[0]._takes, value))
            case "dict" if self.inner:
                return isinstance(value, dict) and all(map(self.inner[0]._takes, value.values()))
        return PLAIN[self.name](value)

    def _inside(self, value: Any) -> Iterator[str]:
        """What is wrong deeper down, where the outer form fits."""
        for kind in self.alternatives:
            items: Mapping[Any, Any] = {}
            if kind.name == "list" and isinstance(value, list):
                items = dict(enumerate(value))
            elif kind.name == "dict" and isinstance(value, dict):
                items = value
            for place, item in items.items():
                sentence = kind.inner[0].problem(item) if kind.inner else None
                if sentence:
                    yield f"at {json.dumps(place)[:SHOWN]} it {sentence}"

    @property
    def words(self) -> str:
        """What it takes, for people: `a whole number or null`."""
        match self.name:
            case "union":
                return " or ".join(each.words for each in self.inner)
            case "literal":
                return "one of " + ", ".join(json.dumps(each) for each in self.values)
            case "list" if self.inner:
                return f"a list, each item of which is {self.inner[0].words}"
            case "dict" if self.inner:
                return f"an object, each value of which is {self.inner[0].words}"
        return WORDS[self.name]

    def schema(self) -> dict[str, Any]:
        """The same as JSON Schema (draft 2020-12)."""
        match self.name:
            case "union":
                return {"anyOf": [each.schema() for each in self.inner]}
            case "literal":
                return {"enum": list(self.values)}
            case "list" if self.inner:
                return {"type": "array", "items": self.inner[0].schema()}
            case "dict" if self.inner:
                return {"type": "object", "additionalProperties": self.inner[0].schema()}
        return dict(SCHEMAS[self.name])


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= LARGEST_FLOAT if isinstance(value, int) else math.isfinite(value)


def _is_date(value: Any) -> bool:
    return isinstance(value, str) and _DAY.fullmatch(value) is not None and _reads(date, value)


def _is_datetime(value: Any) -> bool:
    fits = isinstance(value, str) and _MOMENT.fullmatch(value) is not None
    return fits and _reads(datetime, value)


def _reads(what: type[date], text: str) -> bool:
    try:
        what.fromisoformat(text)
    except ValueError:
        return False
    return True


PLAIN: dict[str, Callable[[Any], bool]] = {
    "any": lambda value: True,
    "None": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": _is_number,
    "str": lambda value: isinstance(value, str),
    "date": _is_date,
    "datetime": _is_datetime,
    "list": lambda value: isinstance(value, list),
    "dict": lambda value: isinstance(value, dict),
}
WORDS = {
    "any": "anything",
    "None": "null",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "date": "a date such as 2026-01-31",
    "datetime": "an instant such as 2026-01-31T06:00:00Z",
    "list": "a list",
    "dict": "an object",
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "any": {},
    "None": {"type": "null"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "date": {"type": "string", "format": "date", "pattern": f"^{_DAY.pattern}$"},
    "datetime": {"type": "string", "pattern": f"^{_MOMENT.pattern}$"},
    "list": {"type": "array"},
    "dict": {"type": "object"},
}
NAMES = (*PLAIN, "literal", "union")
ANY, NULL = Kind("any"), Kind("None")


def told(value: Any) -> str:
    """A value that came, for people: `the text "007"`."""
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
    match value:
        case None | bool():
            return shown
        case str():
            return f"the text {shown}"
        case int():
            return f"the whole number {shown}"
        case float():
            return f"the number {shown}"
        case list():
            return f"the list {shown}"
    return f"the object {shown}"


def union(*kinds: Kind) -> Kind:
    """One that takes what any of them takes."""
    flat = list({str(each): each for kind in kinds for each in kind.alternatives}.values())
    if not flat or ANY in flat:
        return ANY
    return flat[0] if len(flat) == 1 else Kind("union", tuple(flat))


def kind_of(value: Any) -> Kind:
    """The type of a JSON value, as a default tells it: null says nothing, and of lists and objects
    only that they are ones."""
    for name in ("bool", "int", "float", "str", "list", "dict"):
        if PLAIN[name](value):
            return Kind(name)
    return ANY
