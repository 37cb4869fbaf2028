"""Whatever ends a notebook, it says so in the cell where it ended; with real kernels."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from runhook.executors.base import Handle
from runhook.runner.limits import shown as bytes_shown
from runhook.runner.spec import LimitsSpec, Result
from tests.executors.conftest import Bench, anyio_backend, bench
from tests.runner.notebooks import execute, journal, kept, repository_of, shown, statuses, write

__all__ = ["anyio_backend", "bench", "repository_of"]
pytestmark = pytest.mark.anyio
MEGABYTE = 1_000_000

DEATHS = {
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None, 9, "SIGKILL"),
    "exited": ("import os; print('last words', flush=True); os._exit(3)", 3, None, "exit code 3"),
    "crashed": ("import ctypes; ctypes.string_at(0)", None, 11, "SIGSEGV"),
}


@pytest.mark.parametrize("how", DEATHS)
async def test_a_kernel_that_dies_is_told_in_its_cell_with_its_exit_code_or_signal(
    bench: Bench, repository_of: Any, how: str
) -> None:
    source, code, signal, words = DEATHS[how]
    folder, _ = repository_of
    write(folder / "a.ipynb", "print('one')", source, "print('never')", "print('never')")
    spec, result, notebook = await execute(bench, repository_of)
    assert (result.outcome, result.step) == ("failed", "notebook")
    assert (result.exit_code, result.signal) == (code, signal)
    assert "kernel died in cell 2" in result.reason and words in result.reason
    assert statuses(notebook) == ["ok", "died", "never_ran", "never_ran"]
    assert words in shown(notebook["cells"][1])
    assert "cells 3–4 never ran" in shown(notebook["cells"][1])
    ends = [(each["cell"], each["status"]) for each in journal(spec) if each["kind"] == "finished"]
    assert ends == [(1, "ok"), (2, "died"), (3, "never_ran"), (4, "never_ran")]


async def test_a_cell_beyond_the_memory_limit_says_how_much_it_used(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    write(folder / "a.ipynb", "1", "x = []\nwhile True: x.append(bytearray(10_000_000))", "2")
    limits = LimitsSpec(memory=300 * MEGABYTE, time=60.0)
    _, result, notebook = await execute(bench, repository_of, limits=limits)
    assert result.outcome == "failed"
    assert "out of memory" in result.reason and bytes_shown(300 * MEGABYTE) in result.reason
    assert statuses(notebook)[1] in ("died", "stopped") and statuses(notebook)[2] == "never_ran"
    assert "out of memory" in shown(notebook["cells"][1])


SUCCESSES = {
    "sys.exit()": "import sys; sys.exit()",
    "sys.exit(0)": "import sys; sys.exit(0)",
    "exit()": "exit()",
    "quit": "quit()",
    "os._exit(0)": "import os; os._exit(0)",
}


@pytest.mark.parametrize("how", SUCCESSES)
async def test_a_notebook_that_ends_itself_cleanly_is_a_success(
    bench: Bench, repository_of: Any, how: str
) -> None:
    folder, _ = repository_of
    write(folder / "a.ipynb", "print('one')", SUCCESSES[how], "raise Exception('never')")
    _, result, notebook = await execute(bench, repository_of)
    assert result.outcome == "succeeded", result
    assert statuses(notebook) == ["ok", "ok", "never_ran"]
    assert "ended" in shown(notebook["cells"][1]) and "cell 3 never ran" in shown(
        notebook["cells"][1]
    )
    assert not [each for each in notebook["cells"][1]["outputs"] if each["output_type"] == "error"]
    assert notebook["metadata"]["runhook"]["status"] == "succeeded"


@pytest.mark.parametrize(("call", "code"), [("sys.exit(3)", 3), ("sys.exit('no data')", 1)])
async def test_an_exit_code_of_a_notebook_is_the_runs(
    bench: Bench, repository_of: Any, call: str, code: int
) -> None:
    folder, _ = repository_of
    write(folder / "a.ipynb", f"import sys; {call}", "2")
    _, result, notebook = await execute(bench, repository_of)
    assert (result.outcome, result.exit_code) == ("failed", code)
    assert call[9:-1].strip("'") in result.reason
    assert statuses(notebook) == ["error", "never_ran"]


async def test_tags_say_what_may_raise_and_what_is_skipped_and_nobody_answers_input(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    write(
        folder / "a.ipynb",
        "# tags: raises-exception\n1 / 0",
        "# tags: skip-execution\nraise Exception('skipped')",
        "",
        "print('went on')",
        "input('your name? ')",
        "print('never')",
    )
    spec, result, notebook = await execute(bench, repository_of)
    assert result.outcome == "failed"
    assert "cell 5" in result.reason and "parameter" in result.reason
    assert statuses(notebook) == ["ok", "skipped", "skipped", "ok", "error", "never_ran"]
    assert "ZeroDivisionError" in shown(notebook["cells"][0])
    assert (
        "skip" in [each["kind"] for each in journal(spec)] or notebook["cells"][1]["outputs"] == []
    )
    times = notebook["cells"][3]["metadata"]["execution"]
    assert times["iopub.status.busy"] <= times["iopub.status.idle"]
    assert notebook["cells"][3]["metadata"]["runhook"]["seconds"] >= 0


async def test_a_time_limit_holds_inside_a_loop_that_hears_no_interrupt(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    write(folder / "a.ipynb", "print('x')", "import itertools; all(itertools.repeat(1))", "3")
    _, result, notebook = await execute(bench, repository_of, limits=LimitsSpec(time=9.0))
    assert result.outcome == "timed_out"
    assert statuses(notebook) == ["ok", "stopped", "never_ran"]
    assert "longer than its limit of 9 seconds" in shown(notebook["cells"][1])


CANCELLED = {
    "sleep": ("import time\nprint('begun', flush=True)\ntime.sleep(600)", True),
    "loop": ("print('begun', flush=True)\nwhile True: pass", True),
    "stubborn": (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('begun', flush=True)\nwhile True: pass",
        False,
    ),
}


@pytest.mark.parametrize("what", CANCELLED)
async def test_a_cancelled_cell_says_so_and_what_it_was_at(
    bench: Bench, repository_of: Any, what: str
) -> None:
    folder, commit = repository_of
    source, heeds = CANCELLED[what]
    write(folder / "a.ipynb", source, "print('never')")
    spec = bench.spec(notebook="nb/a.ipynb", repositories=[commit()])
    handle = await bench.start(spec)
    await begun(Path(spec.directory))
    await cancel(bench, handle)
    result = Result.load(Path(spec.directory))
    assert result and result.outcome == "cancelled"
    notebook = kept(spec)
    assert statuses(notebook) == ["stopped", "never_ran"]
    assert "cancelled in this cell; cell 2 never ran" in shown(notebook["cells"][0])
    assert ("KeyboardInterrupt" in shown(notebook["cells"][0])) == heeds
    assert notebook["metadata"]["runhook"]["status"] == "cancelled"


async def begun(directory: Path) -> None:
    """Wait until the log says so."""
    async with asyncio.timeout(60):
        while not (directory / "log").exists() or b"begun" not in (directory / "log").read_bytes():
            await asyncio.sleep(0.02)


async def cancel(bench: Bench, handle: Handle) -> None:
    from datetime import timedelta

    await bench.executor.stop(handle, timedelta(seconds=1))
    async with asyncio.timeout(60):
        await bench.executor.ended(handle)
