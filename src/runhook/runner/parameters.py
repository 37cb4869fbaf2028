"""What the notebook declares at the commit that was checked out: reported, and held against the
values that were given for names that only the notebook can know.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runhook.runner.collect import open_beneath_text
from runhook.runner.listing import LARGEST_FILE
from runhook.runner.outline import Outline, assigned, outline_of
from runhook.runner.report import Reporter, StepFailed
from runhook.runner.spec import RunSpec

LARGEST_CELL = 64 * 1024
MOST_NAMED = 20


def tell_parameters(
    spec: RunSpec, checked_out: Sequence[dict[str, Any]], workspace: Path, reporter: Reporter
) -> None:
    """Report the cell tagged `parameters` as `parameters_cell`. StepFailed if a value was given for
    a parameter that it does not assign. Nothing if no repository brings the notebook."""
    commit = _commit_of(spec, checked_out)
    if spec.notebook is None or commit is None:
        return
    outline = _outline(workspace, spec.notebook)
    cell = outline.parameters
    if cell is not None and len(cell) > LARGEST_CELL:
        reporter.emit("parameters_cell", commit=commit, cell=None, problem="its cell is too long")
    else:
        reporter.emit("parameters_cell", commit=commit, cell=cell, problem=outline.problem)
    names = assigned(cell or "") or set()
    unknown = [name for name in spec.undeclared if name not in names]
    if unknown:
        raise StepFailed(_sentence(spec.notebook, commit, unknown, names, outline))


def _commit_of(spec: RunSpec, checked_out: Sequence[dict[str, Any]]) -> str | None:
    """The commit of the repository that brings the notebook."""
    found = [
        (len(repository.folder), facts["commit"])
        for repository, facts in zip(spec.repositories, checked_out, strict=True)
        if (spec.notebook or "").startswith(f"{repository.folder}/")
    ]
    return str(max(found)[1]) if found else None


def _outline(workspace: Path, notebook: str) -> Outline:
    try:
        with open_beneath_text(workspace, workspace / notebook) as file:
            text = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError):
        return Outline(problem=f"there is no notebook {notebook} that can be read")
    if len(text) > LARGEST_FILE:
        return Outline(problem=f"it is longer than {LARGEST_FILE} characters")
    return outline_of(notebook, text)


def _sentence(
    notebook: str, commit: str, unknown: list[str], names: set[str], outline: Outline
) -> str:
    known = ", ".join(sorted(names)[:MOST_NAMED])
    has = f"its cell tagged `parameters` assigns {known}" if known else "it tags no such cell"
    if outline.problem:
        has = outline.problem
    return (
        f"{notebook} at commit {commit[:10]} does not know the parameter {', '.join(unknown)}: "
        f"{has}; nothing was executed"
    )
