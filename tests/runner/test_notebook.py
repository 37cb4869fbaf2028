"""Native notebooks, with real kernels."""

import json
from typing import Any

import pytest

from runhook.runner.spec import LimitsSpec
from tests.executors.conftest import Bench, anyio_backend, bench, log
from tests.runner.notebooks import execute, repository_of, write

__all__ = ["anyio_backend", "bench", "repository_of"]
pytestmark = pytest.mark.anyio


async def test_a_notebook_runs_beside_its_siblings_and_is_kept(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    (folder / "sibling.py").write_text("VALUE = 'from beside'\n")
    write(
        folder / "a.ipynb",
        "import sibling, os",
        "print(sibling.VALUE)\nos.path.basename(os.getcwd())",
    )
    spec, result, kept = await execute(bench, repository_of)
    assert result.outcome == "succeeded", result
    assert log(spec).decode() == "from beside\n'nb'\n"
    assert [cell["execution_count"] for cell in kept["cells"]] == [1, 2]


async def test_a_foreign_kernelspec_and_parameters_do_what_people_expect(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    foreign = {"name": "conda-env-somebody", "display_name": "x", "language": "python"}
    write(
        folder / "a.ipynb",
        "# tags: parameters\nregion = 'north'\nyear = 1",
        "print(region, year)",
        kernelspec=foreign,
    )
    parameters = {"region": "o'brien\n007", "year": None}
    spec, result, kept = await execute(bench, repository_of, parameters=parameters)
    assert result.outcome == "succeeded", result
    assert log(spec).decode() == "o'brien\n007 None\n"
    assert kept["cells"][1]["metadata"]["tags"] == ["injected-parameters"]


async def test_a_failing_cell_is_named_and_the_cells_after_it_never_ran(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    write(folder / "a.ipynb", "print('one')", "1 / 0", "print('never')")
    spec, result, kept = await execute(bench, repository_of)
    assert (result.outcome, result.step) == ("failed", "notebook")
    assert "cell 2" in result.reason
    assert "ZeroDivisionError" in result.reason
    assert b"Traceback" in log(spec)
    assert [cell["execution_count"] for cell in kept["cells"]] == [1, 2, None]
    assert kept["cells"][1]["outputs"][0]["ename"] == "ZeroDivisionError"


async def test_a_dead_kernel_ends_the_run_with_a_reason(bench: Bench, repository_of: Any) -> None:
    folder, _ = repository_of
    write(folder / "a.ipynb", "import os", "os.kill(os.getpid(), 9)", "print('never')")
    _, result, kept = await execute(bench, repository_of)
    assert result.outcome == "failed"
    assert "kernel died in cell 2" in result.reason
    assert kept["cells"][2]["execution_count"] is None


async def test_a_notebook_that_takes_too_long_is_timed_out_and_says_so(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    write(folder / "a.ipynb", "while True: pass")
    _, result, kept = await execute(bench, repository_of, limits=LimitsSpec(time=8.0))
    assert result.outcome == "timed_out"
    assert "longer than its limit" in json.dumps(kept["cells"][0]["outputs"])


@pytest.mark.parametrize(
    ("text", "words"),
    [("no json", "cannot be read"), ('{"cells": 1}', "cannot be read"), (None, "no notebook")],
)
async def test_what_is_no_notebook_fails_with_a_sentence(
    bench: Bench, repository_of: Any, text: str | None, words: str
) -> None:
    folder, _ = repository_of
    (folder / "other.txt").write_text("x")
    if text is not None:
        (folder / "a.ipynb").write_text(text)
    _, result, _ = await execute(bench, repository_of)
    assert (result.outcome, result.step) == ("failed", "notebook")
    assert words in result.reason
