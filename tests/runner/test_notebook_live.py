"""The executed notebook while it grows, and what it holds of large and odd outputs."""

import asyncio
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from runhook.runner.spec import LimitsSpec, Result, Secrets
from tests.executors.conftest import Bench, anyio_backend, bench, log
from tests.runner.notebooks import execute, journal, kept, repository_of, shown, statuses, write

__all__ = ["anyio_backend", "bench", "repository_of"]
pytestmark = pytest.mark.anyio
LINES = 200_000

BAR = """import sys, time
for n in range(0, 101, 5):
    print(f"\\r{n:3}%|{'#' * (n // 5):20}|", end="", file=sys.stderr, flush=True)
    if n % 25 == 0:
        print("reached", n, flush=True)
print(file=sys.stderr)
print("abc\\b\\bX", end="", flush=True)
print("\\r12", flush=True)
"""


WIDGET = """import comm
from IPython.display import display
# the messages of ipywidgets.IntProgress, and one that is odd
state = {'_model_module': '@jupyter-widgets/controls', '_model_name': 'IntProgressModel'}
bar = comm.create_comm(target_name='jupyter.widget', data={'state': state, 'buffer_paths': []})
comm.create_comm(target_name='jupyter.widget', data={'state': {}})
for n in range(101):
    bar.send({'method': 'update', 'state': {'value': n}, 'buffer_paths': []})
view = {'version_major': 2, 'version_minor': 0, 'model_id': bar.comm_id}
display({'application/vnd.jupyter.widget-view+json': view, 'text/plain': 'a bar'}, raw=True)
"""


async def test_outputs_of_every_kind_read_as_people_expect(
    bench: Bench, repository_of: Any
) -> None:
    folder, _ = repository_of
    write(
        folder / "a.ipynb",
        f"for n in range({LINES}): print('line', n)",
        BAR,
        "print('zażółć gęślą jaźń 😀 \\u2028 \\x00|')\n'日本語'",
        "from IPython.display import display, clear_output, HTML\n"
        "h = display('first', display_id=True)\nh.update('second')\n"
        "print('gone'); clear_output(wait=True); print('stays')\n"
        "for n in range(600): display(n)",
        "from IPython.display import Image, display\n"
        "display({'text/html': '<b>' + 'x' * 5_000_000}, raw=True)\n"
        "print('y' * 3_000_000)",
        WIDGET,
        "raise ValueError('z' * 2_000_000)",
    )
    spec, result, notebook = await execute(bench, repository_of)
    assert result.outcome == "failed"
    assert len(result.reason) < 5000
    printed, bar, words, displays, large, widget, failed = notebook["cells"]
    outputs = Path(spec.directory) / "artifacts" / "outputs"

    whole = "".join(f"line {n}\n" for n in range(LINES))
    assert (outputs / "cell-1-stdout.txt").read_text() == whole
    text = shown(printed)
    assert text.startswith("line 0\nline 1\n") and text.endswith(f"line {LINES - 1}\n")
    assert "outputs/cell-1-stdout.txt" in text and len(text) < 500_000
    assert log(spec).startswith(whole.encode())

    streams = {each["name"]: "".join(each["text"]) for each in bar["outputs"]}
    assert streams["stderr"] == f"100%|{'#' * 20}|\n"
    assert streams["stdout"].splitlines() == [*(f"reached {n}" for n in range(0, 101, 25)), "12c"]

    assert "zażółć gęślą jaźń 😀 \u2028 \x00|" in shown(words) and "日本語" in shown(words)
    assert "gone" not in shown(displays) and "stays" in shown(displays)
    assert len(displays["outputs"]) < 510 and "outputs/cell-4-more.jsonl" in shown(displays)
    more = (outputs / "cell-4-more.jsonl").read_text().splitlines()
    assert json.loads(more[-1])["text/plain"] == "599"

    assert "outputs/cell-5-output-1.html" in shown(large)
    assert (outputs / "cell-5-output-1.html").stat().st_size == 5_000_003
    assert (outputs / "cell-5-stdout.txt").stat().st_size == 3_000_001
    view = widget["outputs"][0]["data"]["application/vnd.jupyter.widget-view+json"]
    widgets = notebook["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]
    assert widgets["state"][view["model_id"]]["state"]["value"] == 100

    assert "outputs/cell-7-error.txt" in shown(failed)
    assert (Path(spec.directory) / "artifacts" / "a.ipynb").stat().st_size < 8_000_000


async def test_nothing_that_is_cut_leaves_a_part_of_a_secret(
    bench: Bench, repository_of: Any
) -> None:
    secret = "".join(f"{chr(ord('A') + n * 7 % 26)}{n % 10}" for n in range(20))
    folder, _ = repository_of
    read = "import os\ntoken = os.environ['TOKEN']\n"
    write(
        folder / "a.ipynb",
        f"{read}for n in range(24_000): print('GET /x?token=' + token)",
        f"{read}raise ValueError((token + ' ') * 20_000)",
    )
    secrets = Secrets(attached={"TOKEN": secret})
    spec, result, notebook = await execute(bench, repository_of, secrets)
    assert result.outcome == "failed" and "ValueError: *** ***" in result.reason
    artifacts = Path(spec.directory) / "artifacts"
    assert "outputs/cell-1-stdout.txt" in shown(notebook["cells"][0])
    assert "outputs/cell-2-error.txt" in shown(notebook["cells"][1])
    kept_files = [each for each in artifacts.rglob("*") if each.is_file()]
    assert len(kept_files) == 3
    for text in (result.reason, *(each.read_text() for each in kept_files)):
        assert not [n for n in range(len(secret) - 7) if secret[n : n + 8] in text]


async def test_the_notebook_is_whole_at_every_instant_and_grows_while_a_cell_runs(
    bench: Bench, repository_of: Any, meeting: Path
) -> None:
    folder, commit = repository_of
    source = (
        "import time, pathlib\nprint('begun')\nn = 0\n"
        f"while not pathlib.Path({str(meeting / 'go')!r}).exists():\n"
        "    n += 1\n    print('step', n, flush=True)\n    time.sleep(0.005)"
    )
    write(folder / "a.ipynb", "'x' * 100_000", source, "'end'")
    spec = bench.spec(
        notebook="nb/a.ipynb",
        repositories=[commit()],
        isolation=opened(bench, meeting),
    )
    handle = await bench.start(spec)
    seen: list[str] = []
    limit = time.monotonic() + 60
    while len(set(seen)) < 4:
        assert time.monotonic() < limit
        await asyncio.sleep(0)
        notebook = kept(spec)  # that it is valid is asked there
        if notebook and "step" in (text := shown(notebook["cells"][1])):
            assert statuses(notebook) == ["ok", "running", "pending"]
            seen.append(text)
    (meeting / "go").touch()
    await bench.executor.ended(handle)
    result = Result.load(Path(spec.directory))
    assert result and result.outcome == "succeeded"
    lines = journal(spec)
    assert lines[0]["kind"] == "plan" and lines[0]["of"] == 3
    assert [each["index"] for each in lines[0]["cells"]] == [1, 2, 3]
    assert [each["id"] for each in lines[0]["cells"]] == [
        cell["id"] for cell in kept(spec)["cells"]
    ]
    assert [(each["kind"], each["cell"]) for each in lines if each["kind"] in BOUNDS] == [
        (kind, number) for number in (1, 2, 3) for kind in BOUNDS
    ]
    told = [each["at"] for each in lines if each["kind"] == "output" and each["cell"] == 2]
    assert len(told) >= 3
    assert all(later - earlier > 0.2 for earlier, later in pairwise(told[:-1]))


BOUNDS = ("started", "finished")


def opened(bench: Bench, folder: Path) -> Any:
    from dataclasses import replace

    return replace(bench.isolation, writable=[str(folder)])


async def test_an_output_without_end_is_ended_by_the_limit_and_costs_no_memory(
    bench: Bench, repository_of: Any
) -> None:
    folder, commit = repository_of
    write(folder / "a.ipynb", "while True: print('z' * 1000)", "'never'")
    limits = LimitsSpec(output=20_000_000, time=90.0)
    spec = bench.spec(notebook="nb/a.ipynb", repositories=[commit()], limits=limits)
    handle = await bench.start(spec)
    most = 0
    import psutil

    runner = psutil.Process(json.loads((Path(spec.directory) / "runner.json").read_bytes())["pid"])
    ended = asyncio.ensure_future(bench.executor.ended(handle))
    while not ended.done():
        try:
            most = max(most, runner.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        await asyncio.wait({ended}, timeout=0.1)
    await ended
    result = Result.load(Path(spec.directory))
    assert result and result.outcome == "failed"
    assert "its limit of 20.0 MB" in (result.reason or "")
    notebook = kept(spec)
    assert statuses(notebook) == ["stopped", "never_ran"]
    assert "its limit of 20.0 MB" in shown(notebook["cells"][0])
    assert (Path(spec.directory) / "artifacts" / "a.ipynb").stat().st_size < 1_000_000
    assert 0 < most < 500_000_000  # a few flushes of the kernel, which are megabytes each


async def test_two_notebooks_that_wait_for_each_other_run_at_the_same_time(
    bench: Bench, repository_of: Any, meeting: Path
) -> None:
    folder, commit = repository_of
    for own, other in (("a", "b"), ("b", "a")):
        write(
            folder / f"{own}.ipynb",
            "import pathlib, time\n"
            f"meeting = pathlib.Path({str(meeting)!r})\n(meeting / {own!r}).touch()\n"
            f"while not (meeting / {other!r}).exists(): time.sleep(0.01)\nprint('met')",
        )
    repository, isolation = commit(), opened(bench, meeting)
    limits = LimitsSpec(time=60.0)
    specs = [
        bench.spec(
            notebook=f"nb/{name}.ipynb",
            repositories=[repository],
            isolation=isolation,
            limits=limits,
        )
        for name in "ab"
    ]
    results = await asyncio.gather(*(bench.run(spec) for spec in specs))
    assert [each.outcome for each in results] == ["succeeded"] * 2
    assert [log(spec) for spec in specs] == [b"met\n"] * 2
