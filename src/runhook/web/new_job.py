"""A job from the address of a repository: look into it, pick a notebook or script, and see the form
of the job filled in with what they tell. Each step is a form that works without scripts."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from runhook.errors import Invalid, RunhookError
from runhook.inquiry import contract_of_document, inspected
from runhook.model.imports import proposed_packages
from runhook.model.inspection import RepositoryQuestion
from runhook.model.source import Repository
from runhook.runner.inspection import Document, Inspection
from runhook.services.validation import field_errors
from runhook.web.ask import Ask
from runhook.web.forms import form_of_spec
from runhook.web.jobs import form_page

PAGE = "/dash/jobs/from-git"
PROGRAMS = {".py": "python", ".sh": "bash", ".r": "Rscript", ".R": "Rscript", ".jl": "julia"}
RUNNABLE = ("notebook", "script")
LISTS = ("requirements.txt",)
LONGEST_NAME = 100


@dataclass(frozen=True)
class Typed:
    """What stands in the steps' forms so far."""

    url: str = ""
    reference: str = ""
    path: str = ""
    owner: str = ""

    @property
    def question(self) -> RepositoryQuestion:
        """Invalid, with a sentence for each field, if nobody can be asked this."""
        given = {name: text for name, text in vars(self).items() if text}
        try:
            return RepositoryQuestion.model_validate(given)
        except ValidationError as error:
            details = field_errors(error, RepositoryQuestion)
            raise Invalid("cannot look into this repository", details=details) from None


@dataclass(frozen=True)
class Proposal:
    """What a file tells of the job that runs it; `notes` say it in words."""

    values: dict[str, Any]
    notes: list[str] = field(default_factory=list)


async def first_step(ask: Ask) -> Response:
    return _page(ask, Typed(url=ask.query("url")))


async def next_step(ask: Ask) -> Response:
    """What the repository holds; with a file of it the form of the job."""
    form = await ask.form()
    typed = Typed(**{name: str(form.get(name) or "").strip() for name in Typed.__annotations__})
    if form.get("look"):  # another branch: what was picked may not be there
        typed = Typed(typed.url, typed.reference, "", typed.owner)
    try:
        found = await inspected(ask, typed.question)
        if typed.path and found.document:
            return await _filled(ask, typed, found, found.document)
    except RunhookError as error:
        if error.status in (403, 404):
            raise
        sentences = list(error.details.values()) or [f"{error.message}. {error.hint}"]
        return _page(ask, typed, None, sentences, error.status)
    return _page(ask, typed, found)


def _page(
    ask: Ask,
    typed: Typed,
    found: Inspection | None = None,
    wrong: Sequence[str] = (),
    status: int = 200,
) -> Response:
    files = [each for each in found.files if each.kind in RUNNABLE] if found else []
    return ask.page(
        "new_job.html",
        status,
        typed=typed,
        found=found,
        wrong=wrong,
        notebooks=[each for each in files if each.kind == "notebook"],
        scripts=[each for each in files if each.kind == "script"],
    )


async def _filled(ask: Ask, typed: Typed, found: Inspection, document: Document) -> Response:
    listed = await _listed_packages(ask, typed, found)
    proposal = propose(typed.url, found, document, listed)
    values = form_of_spec(None) | proposal.values | {"owner": typed.owner}
    return await form_page(ask, values, proposal.notes)


async def _listed_packages(ask: Ask, typed: Typed, found: Inspection) -> str | None:
    """The repository's own list of packages, the one beside the file first."""
    beside = PurePosixPath(typed.path).parent
    wanted = [str(beside / name) for name in LISTS] + list(LISTS)
    known = {each.path for each in found.files if each.kind == "packages"}
    for path in wanted:
        if path in known:
            question = typed.question.model_copy(update={"path": path, "files": False})
            document = (await inspected(ask, question)).document
            return document.text if document else None
    return None


def propose(url: str, found: Inspection, document: Document, listed: str | None) -> Proposal:
    """The form's values for a job that runs this file of this repository."""
    repository = Repository(url=url)
    place, path = f"{repository.folder}/{document.path}", PurePosixPath(document.path)
    own = {PurePosixPath(each.path).stem for each in found.files}
    own |= {part for each in found.files for part in PurePosixPath(each.path).parts[:-1]}
    packages = proposed_packages(document.outline.imports, own)
    row = {"url": url}
    if found.reference and found.reference != found.default_branch:
        row |= {"reference": found.reference, "reference_type": found.reference_type}
    name = "".join(each if each.isalnum() else "-" for each in path.stem).strip("-")
    values: dict[str, Any] = {
        "name": name[:LONGEST_NAME] or "job",
        "repositories": [row, {}, {}],
        "pip": (listed or "\n".join(packages)).strip(),
    }
    if path.suffix == ".ipynb":
        values["notebook"] = place
    else:
        program = PROGRAMS.get(path.suffix, "bash")
        values["command"] = f"{program} {shlex.quote(place)}"
    return Proposal(values, list(_notes(found, document, packages, listed)))


def _notes(
    found: Inspection, document: Document, packages: list[str], listed: str | None
) -> Sequence[str]:
    notes = [f"{document.path} at {found.commit[:10]} of {found.reference or 'HEAD'}."]
    if document.outline.problem:
        notes.append(f"It cannot be read: {document.outline.problem}.")
    try:
        contract = contract_of_document(document)
    except ValueError as error:
        contract = None
        notes.append(f"Its parameters cannot be read: {error}.")
    if contract and contract.parameters:
        told = ", ".join(f"{each.name} ({each.kind})" for each in contract.parameters.values())
        notes.append(f"Its parameters: {told}.")
    elif document.path.endswith(".ipynb"):
        notes.append("It declares no parameters: tag a cell “parameters” to have some.")
    if document.outline.imports:
        notes.append(f"It imports {', '.join(document.outline.imports)}.")
    if listed is not None:
        notes.append("The packages are those of the repository’s requirements.txt.")
    elif packages:
        notes.append("The packages are guessed from its imports: look at them.")
    return notes


PAGES = (
    ("GET", PAGE, "jobs:write", first_step),
    ("POST", PAGE, "jobs:write", next_step),
)
