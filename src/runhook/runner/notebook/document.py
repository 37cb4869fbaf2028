"""The notebook as a document: read, in whatever format it was written, and judged."""

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from runhook.runner.collect import open_beneath_text
from runhook.runner.notebook.sources import is_marimo, parsed
from runhook.runner.report import StepFailed

LONGEST_REASON = 1000


def find_notebook(workspace: Path, relative: str) -> Path:
    """Where the notebook of the spec stands; StepFailed if it is not there, or somewhere else."""
    path = (workspace / relative).resolve()
    if not path.is_relative_to(workspace.resolve()):
        raise StepFailed(f"the notebook {relative} is a link that leads out of the workspace")
    if not path.is_file():
        raise StepFailed(f"there is no notebook {relative} in the workspace")
    return path


def read_notebook(workspace: Path, path: Path, name: str) -> NotebookNode:
    """The notebook in the present format, whichever it was written in. StepFailed, as a sentence,
    if it is none, or broken in a place that executing it needs. A start script may have left
    something that swaps files: hence it is opened beneath the workspace."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # what it mends by itself, such as ids
            open_beneath_text(workspace, path) as file,
        ):
            notebook = parsed(file.read(), path)
        problem = _problem(notebook)
    except Exception as error:  # nbformat raises whatever its validators and JSON raise
        problem = " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
    if problem:
        raise StepFailed(f"{name} cannot be read as a notebook: {problem}")
    assert isinstance(notebook, NotebookNode)
    return notebook


def of_marimo(workspace: Path, path: Path) -> bool:
    """Is it a notebook that marimo has to execute?"""
    if path.suffix != ".py":
        return False
    with suppress(OSError, ValueError), open_beneath_text(workspace, path) as file:
        return is_marimo(file.read())
    return False


def _problem(notebook: Any) -> str | None:
    """What nbformat lets through and executing or saving would stumble over."""
    if not isinstance(notebook, NotebookNode) or not isinstance(notebook.get("cells"), list):
        return "it has no list of cells"
    if not isinstance(notebook.get("metadata"), dict):
        return "it has no metadata"
    for number, cell in enumerate(notebook.cells, start=1):
        if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
            return f"cell {number} has no type"
        if not isinstance(cell.get("source"), str):
            return f"cell {number} has no source"
        if not isinstance(cell.get("metadata"), dict):
            return f"cell {number} has no metadata"
    return None


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell; what is no text among them is left out."""
    given = cell.metadata.get("tags", [])
    return [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []


def clear_outputs(notebook: NotebookNode) -> None:
    """Take away what an earlier execution left in the cells."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
