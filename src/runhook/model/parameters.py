"""The contract of a job: which parameters it has, their types and defaults, and what a start may
give for them. How a notebook or script tells them is read in `model.inference`.

A parameter is declared in a job as `name: default`, or in the long form `name: {type, default,
help, min, max, choices, secret}`. Which of the two a mapping is:

- it has the key `type` or `default`: the long form; a key that is no word of it is an error;
- it has neither, but only words of the long form: an error, since it could be meant as either;
- anything else, also the empty mapping: a default that happens to be a mapping.

So `{default: …}` says any default whatever, and nothing is ever guessed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runhook.model.kind import ANY, NULL, Kind, kind_named, kind_of, told, union

WORDS = ("type", "default", "help", "min", "max", "choices", "secret")
ORDERED = ("int", "float", "date")
SCHEMA = "https://json-schema.org/draft/2020-12/schema"
HIDDEN = "•••"
LONGEST_HELP = 2048


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

    def merged(self, declarations: Mapping[str, Any]) -> "Contract":
        """This contract, as it was inferred, overridden and extended by a job's declarations.
        ValueError as `declared` has it."""
        own = {
            name: declared(name, value, self.parameters.get(name))
            for name, value in declarations.items()
        }
        return Contract({**self.parameters, **own})

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


def is_long_form(value: Any) -> bool:
    """Is this a declaration, or a default? ValueError if it could be either."""
    if not isinstance(value, dict) or not value:
        return False
    if "type" in value or "default" in value:
        return True
    if all(name in WORDS for name in value):
        raise ValueError(
            "could be a declaration or a default: add `type`, or write {default: …} around it"
        )
    return False


def contract_of(declarations: Mapping[str, Any]) -> Contract:
    """The contract that a job declares by itself. ValueError as `declared` has it."""
    return Contract().merged(declarations)


def declared(name: str, value: Any, known: Parameter | None = None) -> Parameter:
    """The parameter that a job declares as `name: value`, over the one that was inferred.

    ValueError, as `name … because …`, if it cannot be read or contradicts itself.
    """
    try:
        if not is_long_form(value):
            return _short(name, value, known)
        return _long(name, value, known)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _short(name: str, default: Any, known: Parameter | None) -> Parameter:
    if known and known.problem(default) is None:
        return replace(known, default=default)
    return Parameter(name, kind_of(default), default, known.help if known else "")


def _long(name: str, given: Mapping[str, Any], known: Parameter | None) -> Parameter:
    unknown = [word for word in given if word not in WORDS]
    if unknown:
        raise ValueError(
            f"has {unknown[0]!r}, which is no word of a declaration ({', '.join(WORDS)}); a "
            "default that is a mapping is written {default: {…}}"
        )
    before = known or Parameter(name)
    choices = _choices(given["choices"]) if "choices" in given else before.choices
    default = given.get("default", before.default)
    made = Parameter(
        name,
        _kind(given, before.kind if known else None, default, choices),
        default,
        _text(given.get("help", before.help)),
        given.get("min", before.minimum),
        given.get("max", before.maximum),
        choices,
        _flag(given.get("secret", before.secret)),
        before.written if "type" not in given else "",
    )
    _require_sense(made)
    return made


def _kind(
    given: Mapping[str, Any], known: Kind | None, default: Any, choices: tuple[Any, ...] | None
) -> Kind:
    if "type" in given:
        if not isinstance(given["type"], str):
            raise ValueError("has a type that is no text: write one such as int or list[str]")
        try:
            kind = kind_named(given["type"])
        except ValueError as error:
            raise ValueError(f"has a wrong type: {error}") from None
    elif known is not None:
        kind = known
    elif isinstance(default, Absent) or default is None:
        kind = union(*map(kind_of, choices)) if choices else ANY
    else:
        kind = kind_of(default)
    return union(kind, NULL) if default is None else kind


def _choices(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("has wrong choices: write a list of values")
    return tuple(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_HELP:
        raise ValueError(f"has a wrong help: write at most {LONGEST_HELP} characters of text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("has a wrong secret: write true or false")
    return value


def _require_sense(made: Parameter) -> None:
    """Raise ValueError unless its words agree with each other."""
    bounds = {"min": made.minimum, "max": made.maximum}
    set_bounds = {word: bound for word, bound in bounds.items() if bound is not None}
    ordered = made.kind.given.name
    if set_bounds and ordered not in ORDERED:
        raise ValueError(f"has {next(iter(set_bounds))}, which {ordered} cannot have: give a type")
    for word, bound in set_bounds.items():
        if bound_problem := made.kind.given.problem(bound):
            raise ValueError(f"has a wrong {word}: it {bound_problem}")
    if len(set_bounds) == 2 and made.minimum > made.maximum:
        raise ValueError("has a min above its max: no value could be given")
    for choice in made.choices or ():
        if choice_problem := replace(made, choices=None).problem(choice):
            raise ValueError(f"has a wrong choice: it {choice_problem}")
    if made.secret and made.has_default and made.default not in (None, ""):
        raise ValueError("is secret, so it has no default: whoever sees the job would see it")
    if made.has_default and (default_problem := made.problem(made.default)):
        raise ValueError(f"has a wrong default: it {default_problem}")
