"""Notebooks made for tests, and executed as an attempt."""

import json
import subprocess
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runhook.runner.spec import RepositorySpec, Secrets
from tests.executors.conftest import Bench


def write(path: Path, *cells: str, **metadata: object) -> None:
    """A notebook of code cells; the first line `# tags: x` of one becomes its tags."""
    made = []
    for source in cells:
        head, _, rest = source.partition("\n")
        tags = head.removeprefix("# tags: ").split() if head.startswith("# tags: ") else []
        made.append(nbformat.v4.new_code_cell(rest if tags else source, metadata={"tags": tags}))
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=made, metadata=metadata)))


@pytest.fixture
def repository_of(tmp_path: Path) -> Any:
    """A folder, and what commits it: the repository of the spec."""
    folder = tmp_path / "remote" / "nb"
    folder.mkdir(parents=True)

    def commit() -> RepositorySpec:
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
            subprocess.run([*git, *words], cwd=folder, check=True)
        return RepositorySpec(folder.as_uri(), "nb")

    return folder, commit


def kept(spec: Any, name: str = "a.ipynb") -> Any:
    """The executed notebook, which must be valid; None if there is none."""
    path = Path(spec.directory) / "artifacts" / name
    if not path.exists():
        return None
    notebook = json.loads(path.read_text())
    nbformat.validate(nbformat.from_dict(notebook))
    return notebook


async def execute(
    bench: Bench, repository_of: Any, secrets: Secrets | None = None, **more: Any
) -> tuple[Any, Any, Any]:
    """The spec, the result and the executed notebook."""
    _, commit = repository_of
    more.setdefault("notebook", "nb/a.ipynb")
    spec = bench.spec(repositories=[commit()], **more)
    result = await bench.run(spec, secrets)
    return spec, result, kept(spec, f"{Path(more['notebook']).stem}.ipynb")


def statuses(notebook: Any) -> list[str | None]:
    """Of each cell, as it stands in the notebook."""
    return [cell["metadata"].get("runhook", {}).get("status") for cell in notebook["cells"]]


def shown(cell: Any) -> str:
    """All that stands below a cell."""
    texts = []
    for output in cell["outputs"]:
        match output["output_type"]:
            case "stream":
                texts.append("".join(output["text"]))
            case "error":
                texts.append("\n".join(output["traceback"]))
            case _:
                texts.append("".join(output["data"].get("text/plain", "")))
    return "\n".join(texts)


def journal(spec: Any) -> list[dict[str, Any]]:
    """The lines of cells.jsonl."""
    lines = (Path(spec.directory) / "cells.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
