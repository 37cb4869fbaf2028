"""The job form: from what was typed to the values of a `spec`, and back."""

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import FormData

from runhook.asked import read_json
from runhook.errors import Invalid
from runhook.model.job import JobSpec

PLAIN = (
    "name",
    "description",
    "command",
    "notebook",
    "python",
    "working_directory",
    "start_script",
)
BLANK_ROWS = 2


def spec_of_form(form: FormData, known: JobSpec | None) -> dict[str, Any]:
    """The values of a definition. What the form has no field for, or does not change, stays in
    the form it has in `known`.

    Invalid names each field that cannot be read.
    """
    values: dict[str, Any] = known.recipe_spec() if known else {}
    wrong: dict[str, str] = {}
    for name in PLAIN:
        _put(values, name, _text(form, name))
    shown = form_of_spec(known)
    if _repositories(form) != [_cells(each) for each in shown["repositories"] if each]:
        _put(values, "git_repositories", _repositories(form))
    if _text(form, "pip") != shown["pip"]:
        _put(values, "extra_packages", _packages(form, values))
    if (_text(form, "cron"), _text(form, "zone")) != (shown["cron"], shown["zone"]):
        _put(values, "schedules", _schedules(form, known))
        values.pop("schedule", None)
    if _text(form, "overlap") != shown["overlap"]:
        _put(values, "overlap", _text(form, "overlap"))
        values.pop("concurrency_policy", None)
    if any(_text(form, name) != shown[name] for name in ("retries", "retry_delay")):
        _put_retry(values, form, wrong)
    readers = {
        "environment_variables": _variables,
        "parameters": _parameters,
        "max_running": _whole_number,
    }
    for name, read in readers.items():
        try:
            _put(values, name, read(_text(form, name)))
        except ValueError as error:
            wrong[name] = str(error)
    _put(values, "limits", _limits(_text(form, "time_limit"), values))
    if known is None:
        _put(values, "owner", _text(form, "owner"))
    if wrong:
        raise Invalid("cannot use this job definition", details=wrong)
    return values


def form_of_spec(spec: JobSpec | None) -> dict[str, Any]:
    """What the form shows of a definition."""
    values: dict[str, Any] = {name: getattr(spec, name, None) or "" for name in PLAIN}
    repositories = [item.model_dump() for item in spec.repositories] if spec else []
    rule = spec.rules[0] if spec and spec.rules else None
    return values | {
        "repositories": [*repositories, *({} for _ in range(BLANK_ROWS))],
        "pip": spec.packages.requirements() if spec else "",
        "cron": rule.cron if rule else "",
        "zone": rule.zone if rule else "",
        "environment_variables": _lines((spec and spec.environment_variables) or {}),
        "parameters": json.dumps(spec.parameters, indent=2) if spec and spec.parameters else "",
        "overlap": str(spec.on_overlap) if spec else "allow",
        "max_running": spec.max_running if spec and spec.max_running else "",
        "retries": str(spec.retrying.count) if spec and spec.retrying.count else "",
        "retry_delay": _shown(spec.retrying.delay) if spec and spec.retrying.delay else "",
        "time_limit": _shown(spec.limits.time) if spec and spec.limits and spec.limits.time else "",
    }


def form_as_typed(form: FormData) -> dict[str, Any]:
    """The same after a mistake: nothing that was typed is lost."""
    rules = ("cron", "zone", "overlap", "max_running", "retries", "retry_delay", "time_limit")
    names = (*PLAIN, "owner", "pip", "environment_variables", "parameters", *rules)
    values: dict[str, Any] = {name: _raw(form, name) for name in names}
    return values | {"repositories": [*_repositories(form), *({} for _ in range(BLANK_ROWS))]}


def _raw(form: FormData, name: str) -> str:
    value = form.get(name)
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""


def _text(form: FormData, name: str) -> str:
    return _raw(form, name).strip()


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    if value in ("", None, [], {}):
        values.pop(name, None)
    else:
        values[name] = value


COLUMNS = ("url", "reference", "reference_type", "path")


def _repositories(form: FormData) -> list[dict[str, str]]:
    rows = zip(*(form.getlist(f"repository.{column}") for column in COLUMNS), strict=False)
    found = [_cells(dict(zip(COLUMNS, row, strict=True))) for row in rows]
    return [cells for cells in found if "url" in cells]


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the columns of a row."""
    texts = {name: row.get(name) for name in COLUMNS}
    return {
        name: text.strip() for name, text in texts.items() if isinstance(text, str) and text.strip()
    }


def _packages(form: FormData, values: dict[str, Any]) -> dict[str, Any]:
    others = {k: v for k, v in (values.get("extra_packages") or {}).items() if k != "pip"}
    text = _text(form, "pip")
    return others | ({"pip": text} if text else {})


def _schedules(form: FormData, known: JobSpec | None) -> list[dict[str, Any]]:
    """The form shows when the first schedule fires; its other rules and further ones stay."""
    rules = known.rules if known else []
    first, *further = [rule.model_dump(mode="json", exclude_unset=True) for rule in rules] or [{}]
    cron, zone = _text(form, "cron"), _text(form, "zone")
    if not cron:
        return further
    given = {**first, "cron": cron, "zone": zone}
    return [{name: value for name, value in given.items() if value != ""}, *further]


def _variables(text: str) -> dict[str, str]:
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    for name, equals, _ in pairs:
        if not equals:
            raise ValueError(f"write NAME=value on each line; {name!r} has no =")
    return {name.strip(): value for name, _, value in pairs}


def _lines(variables: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in variables.items())


def _parameters(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        value = read_json(text)
    except ValueError as error:
        raise ValueError(f'write JSON, such as {{"region": "north"}}: {error}') from None
    if not isinstance(value, dict):
        raise ValueError('write a JSON object, such as {"region": "north"}')
    return value


def _whole_number(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal():
        raise ValueError("write a whole number, such as 2")
    return int(text)


def _put_retry(values: dict[str, Any], form: FormData, wrong: dict[str, str]) -> None:
    """Without a delay the count is the shorthand; what else the rule says stays."""
    try:
        count = _whole_number(_text(form, "retries"))
    except ValueError as error:
        wrong["retries"] = str(error)
        return
    rule = {**(values.get("retry") or {}), "count": count, "delay": _quantity(form, "retry_delay")}
    rule = {name: value for name, value in rule.items() if value not in (None, "")}
    values.pop("retries", None)
    values.pop("retry", None)
    if rule.keys() <= {"count"}:
        _put(values, "retries", count)
    else:
        values["retry"] = rule


def _quantity(form: FormData, name: str) -> int | float | str:
    """A number stays one, so that a definition looks as if somebody had written it."""
    return _number_or_text(_text(form, name))


def _number_or_text(text: str) -> int | float | str:
    try:
        value = int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _limits(text: str, values: dict[str, Any]) -> dict[str, Any]:
    others = {k: v for k, v in (values.get("limits") or {}).items() if k != "time"}
    if not text:
        return others
    return others | {"time": _number_or_text(text)}
