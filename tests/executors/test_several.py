"""Several commands of one attempt: ranks, how many at a time, one log, and how it all ends."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from runhook.runner.masking import Masker
from runhook.runner.several import MOST_AT_ONCE, Prefixed
from runhook.runner.spec import LimitsSpec, RunSpec, Secrets
from tests.executors.conftest import Bench, log, processes_of

pytestmark = pytest.mark.anyio


def several(bench: Bench, *lines: str, at_once: int = 1, **more: object) -> RunSpec:
    return bench.spec(command=lines[0], commands=list(lines), at_once=at_once, **more)


def said(spec: RunSpec, rank: int) -> list[str]:
    """What the command of a rank wrote."""
    mark = f"[{rank}] "
    lines = log(spec).decode().splitlines()
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


async def test_each_line_says_whose_it_is_and_each_command_knows_its_rank(bench: Bench) -> None:
    ranks = 'echo "$RUNHOOK_RANK of $RUNHOOK_SCALE, $SATURN_JOB_RANK"'
    spec = several(bench, ranks, f"{ranks} >&2; printf end", at_once=2)
    result = await bench.run(spec)
    assert (result.outcome, result.exit_code) == ("succeeded", 0)
    assert said(spec, 0) == ["0 of 2, 0"]
    assert said(spec, 1) == ["1 of 2, 1", "end"]
    text = log(spec).decode()
    assert "runhook: rank 0 of 2 begins: echo" in text
    assert "runhook: rank 1 exited with status 0" in text


async def test_no_more_run_at_the_same_time_than_wanted(bench: Bench) -> None:
    """Each holds a place of its own while it runs; two are never held at once by three commands."""
    line = "mkdir place && echo alone; rmdir place"
    spec = several(bench, line, line, line, at_once=1)
    assert (await bench.run(spec)).outcome == "succeeded"
    assert [said(spec, rank) for rank in range(3)] == [["alone"]] * 3


async def test_one_command_runs_so_often_beside_itself(bench: Bench) -> None:
    """Each waits for the others: they end only if all three live at the same time."""
    line = "touch here-$RUNHOOK_RANK; while [ $(ls here-* | wc -l) -lt 3 ]; do sleep 0.02; done"
    spec = several(bench, line, line, line, at_once=3, limits=LimitsSpec(time=30))
    assert (await bench.run(spec)).outcome == "succeeded"


async def test_those_that_fail_are_named_and_the_others_go_on(bench: Bench) -> None:
    spec = several(bench, "exit 3", "echo still here", "kill -SEGV $$", at_once=1)
    result = await bench.run(spec)
    assert (result.outcome, result.exit_code, result.step) == ("failed", 3, "command")
    assert result.reason == (
        "2 of 3 commands failed: rank 0 (it exited with status 3), "
        f"rank 2 (it was ended by signal {signal.SIGSEGV.value} (SIGSEGV))"
    )
    assert said(spec, 1) == ["still here"]


async def test_a_cancelled_run_ends_all_of_them_and_begins_no_other(bench: Bench) -> None:
    spec = several(bench, "sleep 600", "sleep 600", "echo never", at_once=2)
    handle = await bench.start(spec)
    async with asyncio.timeout(60):
        while log_of(spec).count(b"begins") < 2 or len(processes_of(spec)) < 2:
            await asyncio.sleep(0.02)
    await bench.executor.stop(handle, timedelta(seconds=1))
    await bench.executor.ended(handle)
    assert b'"cancelled"' in (Path(spec.directory) / "result.json").read_bytes()
    assert not processes_of(spec)
    assert b"rank 2" not in log(spec)


def log_of(spec: RunSpec) -> bytes:
    try:
        return log(spec)
    except FileNotFoundError:
        return b""


async def test_a_limit_ends_all_of_them(bench: Bench) -> None:
    spec = several(bench, "sleep 600", "sleep 600", at_once=2, limits=LimitsSpec(time=0.3))
    result = await bench.run(spec)
    assert result.outcome == "timed_out"
    assert not processes_of(spec)


async def test_one_that_closed_its_output_costs_the_runner_nothing(bench: Bench) -> None:
    spec = several(bench, "exec >&- 2>&-; read -t 0.5 < <(sleep 9)", "echo b", at_once=2)
    handle = await bench.start(spec)
    await bench.executor.ended(handle)
    assert said(spec, 1) == ["b"]


async def test_a_lot_of_output_arrives_whole(bench: Bench) -> None:
    line = "yes abcdefghijklmnopqrstuvwxyz | head -200000"
    spec = several(bench, line, line, at_once=2)
    assert (await bench.run(spec)).outcome == "succeeded"
    assert [len(said(spec, rank)) for rank in range(2)] == [200_000] * 2


async def test_a_secret_of_several_lines_is_masked_in_spite_of_the_marks(bench: Bench) -> None:
    secrets = Secrets(attached={"KEY": "first line of it\nsecond line\nab"})
    spec = several(bench, 'echo "$KEY"', "echo nothing", at_once=2)
    await bench.run(spec, secrets)
    assert b"line of it" not in log(spec)
    assert b"second line" not in log(spec)
    assert b"\nab" not in log(spec)
    assert said(spec, 0)


async def test_too_many_at_once_is_a_sentence(bench: Bench) -> None:
    spec = several(bench, *["true"] * (MOST_AT_ONCE + 1), at_once=MOST_AT_ONCE + 1)
    result = await bench.run(spec)
    assert result.outcome == "failed"
    assert str(MOST_AT_ONCE) in (result.reason or "")


def test_lines_are_marked_however_they_come_in_pieces() -> None:
    text = b"one\ntwo\r\nthree\rfour"
    for cut in range(len(text)):
        lines = Prefixed(7, Masker([]))
        whole = lines.feed(text[:cut]) + lines.feed(text[cut:]) + lines.flush()
        assert whole == b"[7] one\n[7] two\n[7] three\r[7] four\n"
    assert Prefixed(0, Masker([])).flush() == b""
    long = Prefixed(0, Masker([])).feed(b"x" * 200_000)
    assert long.startswith(b"[0] xxx")
    assert long.endswith(b"x\n")
