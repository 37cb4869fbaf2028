"""How a job declares its parameters.

A parameter is declared in a job as `name: default`, or in the long form `name: {type, default,
help, min, max, choices, secret}`. Which of the two a mapping is:

- it has the key `type` or `default`: the long form; a key that is no word of it is an error;
- it has neither, but only words of the long form: an error, since it could be meant as either;
- anything else, also the empty mapping: a default that happens to be a mapping.

So `{default: …}` says any default whatever, and nothing is ever guessed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runhook.model.annotation import kind_named
from runhook.model.kind import ANY, NULL, Kind, kind_of, union
from runhook.model.parameters import Absent, Contract, Parameter

WORDS = ("type", "default", "help", "min", "max", "choices", "secret")
ORDERED = ("int", "float", "date")
LONGEST_HELP = 2048


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
    return merged(Contract(), declarations)


def merged(inferred: Contract, declarations: Mapping[str, Any]) -> Contract:
    """A contract, as a notebook or script tells it, overridden and extended by a job's
    declarations. ValueError as `declared` has it."""
    known = inferred.parameters
    own = {name: declared(name, value, known.get(name)) for name, value in declarations.items()}
    return Contract({**known, **own})


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
