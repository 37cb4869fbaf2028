"""The field names of job objects, brought to those of a recipe's `spec`, as jobs are kept.

Both are accepted wherever a job is written. Only the compatible contract's names differ.
"""

from collections.abc import Mapping
from typing import Any

from runhook.errors import Invalid

RENAMED = {
    "instance_size": "instance_type",
    "working_dir": "working_directory",
    "is_spot": "use_spot_instance",
}
INSTALLERS = ("pip", "conda", "apt", "cran", "remotes", "bioconductor")


def spec_values(body: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a `spec` from a job object of either naming."""
    values: dict[str, Any] = {}
    for name, value in body.items():
        values |= _field(name, value)
    return values


def with_changes(spec: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """`spec` with the fields of `body` in place of its own; null takes a field away."""
    changes = spec_values(body)
    values = {**spec, **changes}
    if changes.get("command"):
        values.pop("notebook", None)
    elif changes.get("notebook"):
        values.pop("command", None)
    if "schedule" in changes and "schedules" not in changes:
        values.pop("schedules", None)
    elif "schedules" in changes and "schedule" not in changes:
        values.pop("schedule", None)
    return {
        name: value for name, value in values.items() if value is not None or name not in changes
    }


def _field(name: str, value: Any) -> dict[str, Any]:
    match name:
        case "cron_schedule_options":
            return _cron(value)
        case "image_uri":
            return {"image": {"uri": value}}
        case "image_tag_id":
            return {"image": {"tag_id": value}}
        case "extra_packages" if isinstance(value, Mapping):
            return {"extra_packages": _packages(value)}
        case "external_repo_attachments":
            return {} if value is None else {"git_repositories": value}  # looked up, or empty
        case "image_enforce_trusted" if isinstance(value, bool):
            return {}  # images are kept, not used: there is none to distrust
        case _:
            return {RENAMED.get(name, name): value}


def _cron(value: Any) -> dict[str, Any]:
    if value is None:
        return {"schedule": None}
    known = ("schedule", "concurrency_policy")
    if not isinstance(value, Mapping) or set(value) - set(known):
        sentence = "write {'schedule': '@daily', 'concurrency_policy': 'Allow'}"
        raise Invalid("cannot use this job definition", details={"cron_schedule_options": sentence})
    return {name: value[name] for name in known if name in value}


def _packages(value: Mapping[str, Any]) -> dict[str, Any]:
    """Job objects say beside a flat section whether it is a file's text; recipes nest it."""
    nested: dict[str, Any] = {
        name: section
        for name, section in value.items()
        if name in INSTALLERS and section is not None
    }
    if value.get("as_requirements_txt") and isinstance(nested.get("pip"), str):
        nested["pip"] = {"requirements_txt": nested["pip"]}
    if value.get("as_environment_yml") and isinstance(nested.get("conda"), str):
        nested["conda"] = {"environment_yml": nested["conda"]}
    if value.get("use_mamba") and nested.get("conda"):
        conda = nested["conda"]
        section = dict(conda) if isinstance(conda, Mapping) else {"install": conda}
        nested["conda"] = {**section, "use_mamba": value["use_mamba"]}
    flags = {"as_requirements_txt", "as_environment_yml", "use_mamba"}
    unknown = {
        name: section for name, section in value.items() if name not in {*INSTALLERS, *flags}
    }
    return nested | unknown
