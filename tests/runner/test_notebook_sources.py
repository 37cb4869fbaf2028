"""Notebooks in whatever form people have them, executed."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runhook.runner.notebook.sources import is_marimo
from runhook.runner.spec import EnvironmentRequest
from tests.executors.conftest import Bench, anyio_backend, bench, log
from tests.runner.notebooks import execute, repository_of, shown, statuses, write

__all__ = ["anyio_backend", "bench", "repository_of"]
pytestmark = pytest.mark.anyio

PERCENT = """# ---
# title: a notebook as text
# ---

# %% [markdown]
# # Words

# %% tags=["parameters"]
who = "nobody"

# %%
print("hello", who)

# %% tags=["result"]
{"who": who}
"""
MARKDOWN = """# Words

```python tags=["parameters"]
who = "nobody"
```

Between.

```python
print("hello", who)
```
"""


@pytest.mark.parametrize(("name", "text"), [("a.py", PERCENT), ("b c#%20.md", MARKDOWN)])
async def test_a_notebook_that_is_a_text_runs_as_one(
    bench: Bench, repository_of: Any, name: str, text: str
) -> None:
    folder, _ = repository_of
    (folder / name).write_text(text)
    spec, result, notebook = await execute(
        bench, repository_of, notebook=f"nb/{name}", parameters={"who": "zoë"}
    )
    assert result.outcome == "succeeded", result
    assert log(spec).decode().startswith("hello zoë\n")
    assert [each for each in statuses(notebook) if each][:3] == ["ok"] * 3, statuses(notebook)
    value = Path(spec.directory) / "result-value.json"
    assert not value.exists() or json.loads(value.read_text()) == {"who": "zoë"}
    assert value.exists() == (name == "a.py")


def old_format(path: Path) -> None:
    """Format 3, as IPython wrote it until 2015."""
    cell = {
        "cell_type": "code",
        "collapsed": False,
        "input": ["print('of old')"],
        "language": "python",
        "metadata": {},
        "outputs": [],
        "prompt_number": 7,
    }
    sheets = [{"cells": [cell], "metadata": {}}]
    whole = {"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0, "worksheets": sheets}
    path.write_text(json.dumps(whole))


def without_metadata(path: Path) -> None:
    """Neither the notebook nor its cell has any."""
    cell = {"cell_type": "code", "id": "a", "source": "print('of old')", "outputs": []}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": [cell]}))


def twice_the_same_id(path: Path) -> None:
    """Two cells with one id, and one whose id is none."""
    write(path, "print('of old')", "2", "3")
    notebook = json.loads(path.read_text())
    for cell, id_ in zip(notebook["cells"], ("same", "same", "not an id!"), strict=True):
        cell["id"] = id_
    path.write_text(json.dumps(notebook))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("old format.ipynb", old_format),
        ("without.ipynb", without_metadata),
        ("100%20 #1 ? & ü.ipynb", twice_the_same_id),
    ],
)
async def test_old_formats_duplicate_ids_and_odd_names_are_executed(
    bench: Bench, repository_of: Any, name: str, make: Any
) -> None:
    folder, _ = repository_of
    make(folder / name)
    spec, result, notebook = await execute(bench, repository_of, notebook=f"nb/{name}")
    assert result.outcome == "succeeded", result
    assert log(spec).startswith(b"of old\n")
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"cells": 1, "nbformat": 4, "nbformat_minor": 5}', "no list of cells"),
        ('{"metadata": {}, "nbformat": 4, "nbformat_minor": 5, "cells": [1]}', "cell 1"),
        ('{"metadata": {}, "nbformat": 99, "cells": []}', "cannot be read"),
    ],
)
async def test_what_is_wrong_with_a_notebook_is_a_sentence(
    bench: Bench, repository_of: Any, text: str, words: str
) -> None:
    folder, _ = repository_of
    (folder / "a.ipynb").write_text(text)
    _, result, _ = await execute(bench, repository_of)
    assert (result.outcome, result.step) == ("failed", "notebook")
    assert words in result.reason


BASH = {"kernelspec": {"name": "bash", "language": "bash", "display_name": "Bash"}}


async def test_a_kernel_of_another_language_comes_from_the_jobs_packages(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    write(
        folder / "a.ipynb",
        '# tags: parameters\ntext="default"',
        'printf "%s|" "$text" "$number" "$yes" "${words[1]}"; echo',
        "echo one; echo two",
        "# tags: result\necho 3",
        **BASH,
    )
    parameters = {"text": "it's $HOME\n`x`", "number": 7, "yes": True, "words": ["a", "b c"]}
    spec, result, notebook = await execute(
        bench,
        repository_of,
        parameters=parameters,
        environment=EnvironmentRequest(requirements="bash_kernel==0.10.0\n"),
    )
    assert result.outcome == "succeeded", (result, log(spec))
    assert "it's $HOME\n`x`|7|true|b c|" in shown(notebook["cells"][2])
    assert shown(notebook["cells"][3]) == "one\ntwo\n"
    assert notebook["metadata"]["language_info"]["name"] == "bash"


async def test_a_language_without_a_kernel_is_told_with_what_was_found(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    spec = {"name": "ir", "language": "R", "display_name": "R"}
    write(folder / "a.ipynb", "1 + 1", kernelspec=spec)
    _, result, notebook = await execute(bench, repository_of)
    assert result.outcome == "failed"
    assert "no kernel for r" in result.reason and "found python" in result.reason
    assert statuses(notebook) == ["never_ran"]
    assert "no kernel for r" in shown(notebook["cells"][0])


APP = """import marimo

app = marimo.App()


@app.cell
def _():
    print("in marimo")
    return


if __name__ == "__main__":
    app.run()
"""


async def test_a_notebook_of_marimos_needs_marimo(bench: Bench, repository_of: Any) -> None:
    folder, _ = repository_of
    (folder / "a.py").write_text(APP)
    _, result, notebook = await execute(bench, repository_of, notebook="nb/a.py")
    assert result.outcome == "failed"
    assert "add marimo" in result.reason
    assert notebook is None


async def test_a_notebook_of_marimos_runs_in_the_jobs_own_marimo(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    told = "print('in marimo'); import marimo as mo; mo.cli_args().get('year')"
    (folder / "a.py").write_text(APP.replace('print("in marimo")', told))
    spec, result, notebook = await execute(
        bench,
        repository_of,
        notebook="nb/a.py",
        parameters={"year": 2026},
        environment=EnvironmentRequest(requirements="marimo==0.25.2\n"),
    )
    assert result.outcome == "succeeded", (result, log(spec))
    assert "in marimo" in json.dumps(notebook) and "2026" in json.dumps(notebook)


def test_only_an_app_of_marimos_is_one() -> None:
    assert is_marimo(APP)
    assert not is_marimo("# %%\nimport marimo\nprint(marimo.__version__)\n")
    assert not is_marimo(PERCENT)


def test_ids_that_are_made_are_the_same_in_every_run(tmp_path: Path) -> None:
    from runhook.runner.notebook.document import read_notebook

    path = tmp_path / "a.ipynb"
    old_format(path)
    first, second = (read_notebook(tmp_path, path, "a") for _ in range(2))
    assert [c.id for c in first.cells] == [c.id for c in second.cells]
    nbformat.validate(first)
