"""Recipes from the outside as definitions of jobs: by the API, and from a file of a repository."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from runhook.errors import Invalid
from runhook.model.job import JobSpec
from runhook.model.recipe import Recipe, read
from runhook.services.jobs import parse_spec

REPOSITORY_FILE = ".saturn/saturn.json"
"""Where a repository may keep the recipe of its job."""
MOST_UNKNOWN = 100


@dataclass(frozen=True)
class Definition:
    """A definition, and what its recipe says beside it that has no effect, as sentences."""

    spec: JobSpec
    notes: list[str]


def definition_of(recipe: Mapping[str, Any], *, enforce_unknown: bool = True) -> Definition:
    """The definition that a recipe, of today's or the older form, describes.

    Invalid names each wrong field by its path. A field that is not known is wrong, too, unless
    `enforce_unknown` is False: then it is left out, and a note says so.
    """
    found = read(recipe)
    unknown: list[str] = []
    wrong = dict(found.wrong)
    if not enforce_unknown:
        unknown = [name for name in wrong if name not in ("type", "spec", "job")]
        wrong = {name: each for name, each in wrong.items() if name not in unknown}
    if wrong:
        raise Invalid("cannot use this recipe", details=wrong)
    if not enforce_unknown:
        unknown += _left_out(found.spec)
    notes = [*found.notes, *(f"{name} is not known and was left out" for name in unknown)]
    return Definition(_parsed(found), notes)


def definition_in(text: str, repository: str | None = None) -> Definition:
    """The definition in the text of a repository's file, in JSON.

    `repository` is the address of that repository: it is attached unless the recipe names any. So a
    job imported from a repository runs what stands in it.
    """
    try:
        recipe = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the recipe is not JSON: {error}") from None
    if not isinstance(recipe, dict):
        raise Invalid("the recipe must be an object, such as {'type': 'job', 'spec': {…}}")
    found = read(recipe)
    if repository and not found.wrong and not found.spec.get("git_repositories"):
        found.spec["git_repositories"] = [{"url": repository}]
    if found.wrong:
        raise Invalid("cannot use this recipe", details=found.wrong)
    return Definition(_parsed(found), found.notes)


def _parsed(recipe: Recipe) -> JobSpec:
    prefix = "" if recipe.older else "spec."
    try:
        return parse_spec(recipe.spec)
    except Invalid as error:
        details = {f"{prefix}{name}": sentence for name, sentence in error.details.items()}
        raise Invalid("cannot use this recipe", details=details) from None


def _left_out(spec: dict[str, Any]) -> list[str]:
    """Take out of `spec` what is not known, at any depth; the paths of that."""
    gone: list[str] = []
    for _ in range(MOST_UNKNOWN):
        try:
            JobSpec.model_validate(spec)
        except ValidationError as error:
            places = [
                item["loc"]
                for item in error.errors(include_url=False)
                if item["type"] == "extra_forbidden"
            ]
            taken = [path for path in (_taken_out(spec, each) for each in places) if path]
            gone += taken
            if taken:
                continue
        break
    return gone


def _taken_out(spec: Any, location: tuple[int | str, ...]) -> str | None:
    """Remove what stands at a location of pydantic, which names members of unions on the way; its
    path, or None if it is not there (any more)."""
    holder, path = spec, list[str]()
    for part in location[:-1]:
        inner = _inside(holder, part)
        if inner is not None:
            holder, path = inner, [*path, str(part)]
    name = location[-1]
    if not isinstance(holder, dict) or name not in holder:
        return None
    del holder[name]
    return ".".join([*path, str(name)])


def _inside(holder: Any, part: int | str) -> Any:
    if isinstance(holder, dict):
        return holder.get(part)
    if isinstance(holder, list) and isinstance(part, int) and part < len(holder):
        return holder[part]
    return None
