"""Looking into a repository before there is a job: `POST /api/repositories/inspect`.

Takes (only `url` is required):

    {"url": "https://host/owner/name.git", "reference": "main", "reference_type": "branch",
     "path": "reports/weekly.ipynb", "files": true, "owner": "main/group"}

`reference` is a branch, a tag or a commit (told apart by itself if there is no `reference_type`),
by default the default branch; `path` is a file to be read; `files: false` spares the list.

Gives:

    {"url": …, "reference": "main", "reference_type": "branch", "commit": "<whole id>",
     "default_branch": "main", "branches": ["main", …], "tags": ["v1", …],
     "references_truncated": false,                                         at most 500 of each
     "files": [{"path": "a.ipynb", "kind": "notebook", "size": 1234}, …],   by path, at most 2000
     "files_truncated": false,
     "file": null | {"path": …, "text": "…" | null if it has more than 2 million characters,
                     "language": "python", "kernel": "python3", "imports": ["pandas", …],
                     "problem": null | "this is no notebook: …",
                     "contract": null | JSON Schema of its parameters,
                     "parameters": [{"name": …, "type": "int", "default": …, "help": …,
                                     "required": false, "written": "…"}, …]}}

`kind` is `notebook`, `script` (.py, .sh, .r, .jl) or `packages` (requirements.txt, pyproject.toml,
environment.yml: they make an environment). `imports` leaves out Python's standard library.

Takes the right to write jobs of `owner` (default: one's own), whose git credential is used. 422, in
`details` by field, says what is wrong with the address, reference or path, or why the repository
cannot be read; 503 that the server cannot ask now. Pages ask `runhook.inquiry.inspected` instead.
"""

from typing import Any

from starlette.responses import Response

from runhook import inquiry
from runhook.api.call import Call, Json, Route
from runhook.model.inspection import RepositoryQuestion
from runhook.model.parameters import Contract, Parameter
from runhook.runner.inspection import Document, Inspection


async def inspect(call: Call) -> Response:
    question = await call.body(RepositoryQuestion)
    return Json(_inspection_json(question.url, await inquiry.inspected(call, question)))


def _inspection_json(url: str, found: Inspection) -> dict[str, Any]:
    return {
        "url": url,
        "reference": found.reference,
        "reference_type": found.reference_type,
        "commit": found.commit,
        "default_branch": found.default_branch,
        "branches": list(found.branches),
        "tags": list(found.tags),
        "references_truncated": found.references_cut,
        "files": [vars(each) for each in found.files],
        "files_truncated": found.files_cut,
        "file": _document_json(found.document) if found.document else None,
    }


def _document_json(document: Document) -> dict[str, Any]:
    contract, problem = _contract(document)
    return {
        "path": document.path,
        "text": document.text,
        "language": document.outline.language,
        "kernel": document.outline.kernel,
        "imports": list(document.outline.imports),
        "problem": document.outline.problem or problem,
        "contract": contract.schema(document.path) if contract else None,
        "parameters": [_parameter_json(each) for each in contract.parameters.values()]
        if contract
        else [],
    }


def _contract(document: Document) -> tuple[Contract | None, str | None]:
    """What the file declares, or why it cannot be read."""
    try:
        return inquiry.contract_of_document(document), None
    except ValueError as error:
        return None, str(error)


def _parameter_json(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "type": str(parameter.kind),
        "default": parameter.default if parameter.has_default else None,
        "help": parameter.help,
        "required": parameter.required,
        "written": parameter.written,
    }


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/api/repositories/inspect",
        "jobs:write",
        inspect,
        "What a repository holds: branches, notebooks, the parameters of one.",
        body="RepositoryQuestion",
    ),
)
