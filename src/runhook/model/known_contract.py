"""What is known of a job's contract: what the job declares, and what its notebook was last found to
declare, with where each parameter comes from.

Commands, also those that call papermill, have the parameters that the job declares and no others:
what such a program is given stands in its command line.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from runhook.model.declaration import merged
from runhook.model.inference import contract_of_cell
from runhook.model.job import JobSpec
from runhook.model.parameters import COMPUTED, Contract
from runhook.model.source import Repository, workspace_path

LARGEST_CELL = 64 * 1024
"""Characters of a parameters cell that is kept and read."""
MOST_INFERRED = 200
JOB, NOTEBOOK, BOTH = "job", "notebook", "job and notebook"


@dataclass(frozen=True)
class NotebookPlace:
    """Where a job's notebook comes from: a file of one of its repositories."""

    repository: Repository
    path: str

    def json(self) -> dict[str, Any]:
        """What makes it another place."""
        repository = self.repository
        return {
            "url": repository.url,
            "reference": repository.reference or None,
            "reference_type": repository.reference_type,
            "path": self.path,
        }


def place_of(spec: JobSpec) -> NotebookPlace | None:
    """The place of the job's notebook; None if it runs a command, or no repository brings it."""
    if spec.notebook is None:
        return None
    path = workspace_path(spec.notebook)
    for each in sorted(spec.repositories, key=lambda each: -len(each.folder)):
        if path.startswith(f"{each.folder}/"):
            return NotebookPlace(each, path.removeprefix(f"{each.folder}/"))
    return None


@dataclass(frozen=True)
class Told:
    """What was found in a notebook: the source of its cell tagged `parameters` (None: it has none),
    or the `problem`, a sentence, for which it could not be read. `place` is NotebookPlace.json."""

    place: dict[str, Any]
    commit: str | None
    cell: str | None
    problem: str | None
    told_at: datetime


@dataclass(frozen=True)
class KnownContract:
    """The contract that starts are held against. `told` is None if nothing is known of the
    notebook, or there is none; `problem` says why what was told is not used; `inferred` are the
    names that the notebook declares."""

    declared: Contract
    contract: Contract
    told: Told | None = None
    problem: str | None = None
    inferred: frozenset[str] = field(default_factory=frozenset)

    def source(self, name: str) -> str:
        """Who declares it: `job`, `notebook`, or `job and notebook`."""
        mine = name in self.declared.parameters
        if not mine:
            return NOTEBOOK
        return BOTH if name in self.inferred else JOB

    def filled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The given values over the defaults of the job. Those of the notebook are not among them:
        its cell has them already."""
        return self.declared.filled(given)

    def untouched(self, name: str, value: Any) -> bool:
        """Is it the notebook's own default, which need not be given?"""
        each = self.contract.parameters.get(name)
        if each is None or name in self.declared.parameters or not each.has_default:
            return False
        return type(value) is type(each.default) and value == each.default

    def problems(self, given: Mapping[str, Any], *, personal: bool) -> dict[str, str]:
        """As `Contract.problems` has it. Where nobody is there to be told (`personal` is false), a
        value that only the notebook asks for is left to the notebook, which will fail for it."""
        wrong = self.contract.problems(given)
        if personal:
            return wrong
        return {n: each for n, each in wrong.items() if n in given or self.source(n) != NOTEBOOK}

    def schema(self, title: str) -> dict[str, Any]:
        """What a start may give, as JSON Schema. If the notebook declares any, `x-source` of each
        says who declares it; `x-notebook` says which commit of the notebook was read, and what was
        wrong with it."""
        schema = self.contract.schema(title)
        if self.inferred:
            for name, each in schema["properties"].items():
                each["x-source"] = self.source(name)
        if about := self.about_notebook():
            schema["x-notebook"] = about
        return schema

    def example(self) -> dict[str, Any]:
        """As `Contract.example` has it, without what the notebook computes by itself."""
        named = self.contract.parameters
        example = self.contract.example()
        return {n: each for n, each in example.items() if named[n].default is not COMPUTED}

    def about_notebook(self) -> dict[str, Any] | None:
        """Which notebook was read, when, and what was wrong with it; None if none was."""
        told, problem = self.told, self.problem
        if told is None:
            return {"problem": problem} if problem else None
        at = told.told_at.isoformat()
        return {
            "path": told.place["path"],
            "commit": told.commit,
            "read_at": at,
            "problem": problem,
        }

    def parameters_json(self) -> list[dict[str, Any]]:
        """Each parameter in the long form of a declaration, with its name, and who declares it."""
        return [
            {
                "name": name,
                **each.long_form(),
                "required": each.required,
                "computed": each.default is COMPUTED,
                "source": self.source(name),
            }
            for name, each in self.contract.parameters.items()
        ]


def known_contract(spec: JobSpec, told: Told | None, problem: str | None = None) -> KnownContract:
    """The job's contract with what was told of its notebook, if that is about this notebook."""
    declared, place = spec.contract, place_of(spec)
    if told is None or place is None or told.place != place.json():
        return KnownContract(declared, declared, problem=problem)
    if told.cell is None:
        return KnownContract(declared, declared, told, told.problem)
    try:
        found = contract_of_cell(told.cell).parameters
        kept = {name: each for name, each in found.items() if not name.startswith("RUNHOOK_")}
        for name in kept.keys() & set(declared.secrets):
            kept[name] = replace(kept[name], default=COMPUTED)  # it is the notebook's, and untold
        if len(kept) > MOST_INFERRED:
            raise ValueError(
                f"its cell tagged `parameters` assigns more than {MOST_INFERRED} names"
            )
        contract = merged(Contract(kept), spec.parameters or {})
    except ValueError as error:
        return KnownContract(declared, declared, told, str(error))
    return KnownContract(declared, contract, told, inferred=frozenset(kept))
