"""Recipes in the forms that the compatible contract has or had, brought to the `spec` of a job.

Today's has `type` and `spec`. The older one, of 2022, has the fields side by side and what belongs
to a job alone under `job`; it is what stands in `.saturn/saturn.json` of many repositories.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runhook.model.given_back import instead_of_command

CONTRACT_VERSION = "2026.02.01"
"""The version of the contract that is followed: its clients compare it as text."""
SCHEMA_VERSION = "2025.10.01"
WRITTEN = frozenset({"schema_version", "version", "type", "spec"})
READ_ONLY = frozenset({"state", "warnings"})
PLACEHOLDERS = ("instance_type", "image", "command")
"""Fields that an answer must have for the contract's clients: empty where the job has none."""

OLDER_NAMES = {"working_dir": "working_directory", "git_repos": "git_repositories"}
OLDER_REPOSITORY = {"remote_url": "url", "location": "path", "ref": "reference"}
OLDER_JOB = {"backoff_limit": "retries"}
OLDER_ALONE = frozenset({"schema_version", "version", "job", "image_uri", "credentials"})
SERVERS = ("jupyter_server", "rstudio_server", "deployment")
WITHOUT_MEANING = ("visibility", "template", *SERVERS)


@dataclass(frozen=True)
class Recipe:
    """The values of a `spec`, in which only unknown fields may still be wrong; what else the recipe
    says that has no meaning here, as sentences; and what is wrong with its frame, by name."""

    spec: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)
    older: bool = False


def is_older(recipe: Mapping[str, Any]) -> bool:
    """Is this the form of 2022? Then what has no `type` and no `spec` has a `job`, or a server."""
    framed = "type" in recipe or "spec" in recipe
    return not framed and any(name in recipe for name in ("job", *SERVERS))


def read(recipe: Mapping[str, Any]) -> Recipe:
    """A recipe of either form."""
    return _older(recipe) if is_older(recipe) else _framed(recipe)


def _framed(recipe: Mapping[str, Any]) -> Recipe:
    known = WRITTEN | READ_ONLY
    wrong = {name: "is not known in a recipe" for name in recipe if name not in known}
    if recipe.get("type") != "job":
        wrong["type"] = "only recipes of type 'job' can be applied here"
    given = recipe.get("spec")
    if not isinstance(given, dict):
        return Recipe(wrong={**wrong, "spec": "write the job's definition as an object"})
    notes: list[str] = []
    return Recipe(_tidy(given, notes), notes, wrong)


def _tidy(given: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """A `spec` without what only looks like a value: empty placeholders, the line that stands for a
    notebook's command (also where a client that knows no notebooks lost the notebook: a job that
    does nothing would be made of it), a null start script (which clients would print as `None`),
    and the wish for a state, which is no part of a definition."""
    spec = dict(given)
    for name in PLACEHOLDERS:
        if spec.get(name) == "" and not (name == "command" and not spec.get("notebook")):
            del spec[name]
    if instead_of_command(spec.get("command")):
        del spec["command"]
    if "start_script" in spec and spec["start_script"] is None:
        del spec["start_script"]
    if spec.pop("status", None) is not None:
        notes.append("status is not used here: start and stop the job instead")
    owner = spec.get("owner")
    if isinstance(owner, dict) and set(owner) == {"name"}:
        spec["owner"] = owner["name"]
    return spec


def _older(recipe: Mapping[str, Any]) -> Recipe:
    job = recipe.get("job")
    if not isinstance(job, dict):
        found = ", ".join(name for name in SERVERS if name in recipe) or "nothing to run"
        return Recipe(wrong={"job": f"only jobs run here, and this is {found}"}, older=True)
    notes = [f"{name} is not used here" for name in WITHOUT_MEANING if recipe.get(name)]
    spec: dict[str, Any] = {
        OLDER_NAMES.get(name, name): value
        for name, value in recipe.items()
        if name not in OLDER_ALONE and name not in WITHOUT_MEANING
    }
    if "image_uri" in recipe:
        spec["image"] = {"uri": recipe["image_uri"]}
    own: dict[str, Any] = job
    spec |= {OLDER_JOB.get(name, name): value for name, value in own.items()}
    if recipe.get("credentials"):
        spec["secrets"] = recipe["credentials"]
    if "git_repositories" in spec:
        spec["git_repositories"] = _repositories(spec["git_repositories"])
    if "extra_packages" in spec:
        spec["extra_packages"] = _packages(spec["extra_packages"])
    return Recipe(_tidy(spec, notes), notes, older=True)


def _repositories(given: Any) -> Any:
    if not isinstance(given, list):
        return given
    return [
        {OLDER_REPOSITORY.get(name, name): value for name, value in each.items()}
        if isinstance(each, dict)
        else each
        for each in given
    ]


def _packages(given: Any) -> Any:
    """What is called `install` today was called `packages`."""
    if not isinstance(given, dict):
        return given
    return {name: _section(section) for name, section in given.items()}


def _section(section: Any) -> Any:
    if not isinstance(section, dict) or "packages" not in section:
        return section
    renamed = {name: value for name, value in section.items() if name != "packages"}
    return {"install": section["packages"], **renamed}
