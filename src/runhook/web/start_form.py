"""The form that starts a job: a field for each parameter by its type, and what was typed as values.

Text for text, JSON for what is neither text, number, choice nor date.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.datastructures import FormData

from runhook.errors import Invalid
from runhook.model.command_line import text_of
from runhook.model.known_contract import KnownContract
from runhook.model.parameters import COMPUTED, Parameter

TEXTS = ("str", "date", "datetime")
INPUTS = {"int": "number", "float": "number", "date": "date", "bool": "checkbox"}
PREFIX = "parameter."


@dataclass(frozen=True)
class Field:
    """A field as the template shows it. `input` is the type of an HTML input, `select` or
    `textarea`; `value` is its text, of a checkbox whether it is set; `options` are pairs of a value
    and what is shown."""

    name: str
    input: str
    value: Any
    help: str
    kind: str
    required: bool
    options: list[tuple[str, str]]
    bounds: dict[str, Any]
    source: str


def fields(known: KnownContract, typed: FormData | None = None) -> list[Field]:
    """The fields with the defaults, or with what was `typed`; a secret is never given back."""
    parameters = known.contract.parameters.values()
    return [_field(each, typed, known.source(each.name)) for each in parameters]


def _field(parameter: Parameter, typed: FormData | None, source: str) -> Field:
    choices = _choices(parameter)
    options = [(json.dumps(each), text_of(each)) for each in choices]
    if options and parameter.kind.optional and None not in choices:
        options.append(("null", "–"))
    kind = _input(parameter)
    step = {"step": 1 if parameter.kind.given.name == "int" else "any"} if kind == "number" else {}
    bounds = {"min": parameter.minimum, "max": parameter.maximum, **step}
    value = _shown(parameter, kind) if typed is None else _typed(parameter, kind, typed)
    if kind == "text" and "\n" in value:
        kind = "textarea"
    return Field(
        parameter.name,
        kind,
        value,
        parameter.help,
        str(parameter.kind),
        parameter.required,
        options,
        {name: value for name, value in bounds.items() if value is not None},
        source,
    )


def _choices(parameter: Parameter) -> tuple[Any, ...]:
    if parameter.choices is not None:
        return parameter.choices
    kind = parameter.kind.given
    return kind.values if kind.name == "literal" else ()


def _input(parameter: Parameter) -> str:
    if parameter.secret:
        return "password"
    if _choices(parameter):
        return "select"
    if parameter.kind.optional and parameter.kind.given.name == "bool":
        return "text"
    return INPUTS.get(parameter.kind.given.name, "text")


def _shown(parameter: Parameter, input: str) -> Any:
    default = parameter.default if parameter.has_default else None
    if input == "checkbox":
        return default is True
    if input == "select":
        return json.dumps(default) if parameter.has_default else ""
    if input == "password" or not parameter.has_default:
        return ""
    if default is None and _empty_is_null(parameter):
        return ""
    is_text = parameter.kind.given.name in TEXTS
    return text_of(default) if is_text else json.dumps(default, ensure_ascii=False)


def _typed(parameter: Parameter, input: str, form: FormData) -> Any:
    text = _text(form, parameter.name)
    if input == "checkbox":
        return text is not None
    return "" if input == "password" else text or ""


def as_typed(known: KnownContract, given: Mapping[str, Any]) -> FormData:
    """What had to be typed to give these values; a parameter that was not given, or is not known
    any more, is left as it is without them; a secret is never given back."""
    typed = []
    for name, parameter in known.contract.parameters.items():
        if name in given and not parameter.secret:
            parameter = replace(parameter, default=given[name])
        value = _shown(parameter, _input(parameter))
        if value is not False:
            typed.append((PREFIX + name, "yes" if value is True else value))
    return FormData(typed)


def start_parameters(form: FormData, known: KnownContract) -> dict[str, Any]:
    """The values that were typed, without the notebook's own defaults. Invalid, with a sentence for
    each field, where they cannot be read as what the parameter takes; whether they are allowed is
    for the start to say."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, parameter in known.contract.parameters.items():
        try:
            given = _value(parameter, _text(form, name))
            values |= {n: value for n, value in given.items() if not known.untouched(n, value)}
        except ValueError as error:
            wrong[f"parameters.{name}"] = str(error)
    if wrong:
        raise Invalid("cannot start with these parameters", details=wrong)
    return values


def _value(parameter: Parameter, text: str | None) -> Mapping[str, Any]:
    """The value under its name; nothing if the default is meant."""
    name, kind = parameter.name, parameter.kind.given.name
    input = _input(parameter)
    if input == "checkbox":
        return {name: text is not None}
    if text is None or (parameter.secret and text == "" and not parameter.required):
        return {}
    if text == "" and parameter.default is COMPUTED:
        return {}
    if input == "select":
        return {name: _json(text, "choose one")} if text else {}
    if text == "" and _empty_is_null(parameter):
        return {name: None}
    if kind in TEXTS:
        return {name: text}
    if text == "" and parameter.required:
        raise ValueError(f"takes {parameter.kind.words}")
    example = json.dumps(parameter.example(), ensure_ascii=False)
    return {name: _json(text, f"takes {parameter.kind.words}, written as JSON, such as {example}")}


def _empty_is_null(parameter: Parameter) -> bool:
    """An empty field means null where null is taken; where text is taken, too, only if null is the
    default."""
    kind = parameter.kind
    if not kind.optional or kind.given.name == "any":
        return False
    return kind.given.name != "str" or parameter.default is None


def _text(form: FormData, name: str) -> str | None:
    value = form.get(PREFIX + name)
    return value.replace("\r\n", "\n") if isinstance(value, str) else None


def _json(text: str, sentence: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        value = json.loads(text, parse_constant=refuse)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        raise ValueError(sentence) from None
    return value
