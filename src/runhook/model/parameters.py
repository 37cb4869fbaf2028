"""The contract of a job: which parameters it has, their types and defaults, and what a start may
give for them. How a job declares them is read in `model.declaration`, how a notebook or script
tells them in `model.inference`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runhook.model.kind import ANY, Kind, told

SCHEMA = "https://json-schema.org/draft/2020-12/schema"
HIDDEN = "•••"


class Absent:
    """What stands for a default that is not there to be given."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


REQUIRED = Absent("REQUIRED")
"""There is none: every start has to give the parameter."""
COMPUTED = Absent("COMPUTED")
"""The notebook or script has one that is not written out: who does not give it leaves it at that.
"""


@dataclass(frozen=True)
class Parameter:
    """One parameter. `written` is the source of a default or type that could not be read."""

    name: str
    kind: Kind = ANY
    default: Any = REQUIRED
    help: str = ""
    minimum: Any = None
    maximum: Any = None
    choices: tuple[Any, ...] | None = None
    secret: bool = False
    written: str = ""

    @property
    def required(self) -> bool:
        """Must every start give it?"""
        return self.default is REQUIRED

    @property
    def has_default(self) -> bool:
        """Is there a default that can be told?"""
        return not isinstance(self.default, Absent)

    def problem(self, value: Any) -> str | None:
        """Why it cannot have this value, as a sentence without a subject; None if it can."""
        wrong = self.kind.problem(value)
        if wrong:
            return f"takes {self.kind.words}; what came is a secret" if self.secret else wrong
        if value is None and self.kind != ANY:
            return None
        if self.choices is not None and not any(same(value, each) for each in self.choices):
            return f"takes one of {', '.join(map(told, self.choices))}" + self._came(value)
        if self.minimum is not None and value < self.minimum:
            return f"is at least {self.minimum}" + self._came(value)
        if self.maximum is not None and value > self.maximum:
            return f"is at most {self.maximum}" + self._came(value)
        return None

    def _came(self, value: Any) -> str:
        return "" if self.secret else f", and this is {told(value)}"

    def schema(self) -> dict[str, Any]:
        """The parameter as JSON Schema."""
        made = self.kind.schema()
        about = [self.help, f"As written: {self.written}" if self.written else ""]
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        if isinstance(self.minimum or self.maximum, str):  # JSON Schema has no bounds for dates
            about += [f"{name} {value}" for name, value in bounds.items() if value is not None]
        else:
            made |= {name: value for name, value in bounds.items() if value is not None}
        if self.choices is not None:
            null = [None] if self.kind.optional and self.kind != ANY else []
            made["enum"] = [*self.choices, *null]
        if any(about):
            made["description"] = ". ".join(part for part in about if part)
        if self.has_default:
            made["default"] = self.default
        return made | ({"writeOnly": True} if self.secret else {})

    def example(self) -> Any:
        """A value for people to begin with: the default, or one that fits in its outer form."""
        if self.has_default:
            return self.default
        first = self.kind.given.alternatives[0]
        values = self.choices or first.values
        return values[0] if values else EXAMPLES.get(first.name)

    def long_form(self) -> dict[str, Any]:
        """The parameter as a declaration of a job."""
        given = {
            "type": str(self.kind),
            "default": self.default,
            "help": self.help,
            "min": self.minimum,
            "max": self.maximum,
            "choices": list(self.choices) if self.choices else None,
            "secret": self.secret,
        }
        left_out = ("", None, False)
        return {
            name: value
            for name, value in given.items()
            if not isinstance(value, Absent) and (name == "default" or value not in left_out)
        }


@dataclass(frozen=True)
class Contract:
    """The parameters by name, in the order in which they were declared."""

    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @classmethod
    def of(cls, parameters: Iterable[Parameter]) -> "Contract":
        """Of parameters; of two of the same name the later one counts."""
        return cls({each.name: each for each in parameters})

    @property
    def secrets(self) -> list[str]:
        """The names of secret parameters."""
        return [name for name, each in self.parameters.items() if each.secret]

    def problems(self, given: Mapping[str, Any], *, whole: bool = True) -> dict[str, str]:
        """What is wrong with values for declared parameters, by name; names that are not declared
        are not looked at. `whole`: nothing else will be given."""
        wrong = {
            name: sentence
            for name, value in given.items()
            if name in self.parameters and (sentence := self.parameters[name].problem(value))
        }
        missing = [each for each in self.parameters.values() if each.required and whole]
        wrong |= {
            each.name: f"has no default: give {each.kind.words}"
            for each in missing
            if each.name not in given
        }
        return wrong

    def filled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults with the given values over them, which were found to have no problem."""
        defaults = {n: each.default for n, each in self.parameters.items() if each.has_default}
        return {**defaults, **given}

    def schema(self, title: str) -> dict[str, Any]:
        """What a start may give, as JSON Schema."""
        return {
            "$schema": SCHEMA,
            "title": title,
            "type": "object",
            "properties": {name: each.schema() for name, each in self.parameters.items()},
            "required": [name for name, each in self.parameters.items() if each.required],
            "additionalProperties": False,
        }

    def example(self) -> dict[str, Any]:
        """A value for each parameter that is not secret."""
        return {name: each.example() for name, each in self.parameters.items() if not each.secret}


EXAMPLES: dict[str, Any] = {
    "bool": False,
    "int": 0,
    "float": 0.0,
    "str": "",
    "date": "2026-01-31",
    "datetime": "2026-01-31T06:00:00Z",
    "list": [],
    "dict": {},
}


def hidden(parameters: Mapping[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
    """The values as they may be shown: secret ones are not."""
    names = set(secrets)
    return {name: HIDDEN if name in names else value for name, value in parameters.items()}


def same(one: Any, other: Any) -> bool:
    """Are two JSON values equal? Numbers by value; true is not 1."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
