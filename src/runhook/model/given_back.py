"""A job's `spec` as recipes give it back: the contract's strict clients refuse a whole list for one
recipe that lacks a field, or has it in an older form. What is written otherwise here means the same
when it is applied, so two definitions which are given back the same are the same.
"""

from collections.abc import Mapping
from typing import Any

EMPTY = ("instance_type", "image")
"""Fields that a recipe must have; empty they say nothing."""
INSTEAD_OF_COMMAND = "# runs the notebook "
"""How the one line begins that a notebook's recipe has for a command, which must not be empty."""


def given_back(spec: Mapping[str, Any]) -> dict[str, Any]:
    """`spec` with what clients need of it."""
    shown = {**dict.fromkeys(EMPTY, ""), **spec}
    for name in EMPTY:
        shown[name] = shown[name] or ""
    if shown.get("notebook") and not (shown.get("command") or "").strip():
        shown["command"] = INSTEAD_OF_COMMAND + " ".join(shown["notebook"].split())
    if shown.get("extra_packages"):
        shown["extra_packages"] = _packages(shown["extra_packages"])
    if shown.get("secrets"):
        shown["secrets"] = [_secret(each) for each in shown["secrets"]]
    return shown


def instead_of_command(command: object) -> bool:
    """Does this only stand for the command that a notebook's job does not have?"""
    given = isinstance(command, str) and command.startswith(INSTEAD_OF_COMMAND)
    return given and "\n" not in str(command)


def _packages(given: Mapping[str, Any]) -> dict[str, Any]:
    """Plain text is what is to be installed."""
    return {
        name: {"install": section} if isinstance(section, str) else section
        for name, section in given.items()
    }


def _secret(given: Mapping[str, Any]) -> dict[str, Any]:
    """`type` is the older name of `attachment_type`."""
    kind = given.get("attachment_type") or given.get("type")
    return {
        **{name: value for name, value in given.items() if name != "type"},
        "attachment_type": kind,
    }
