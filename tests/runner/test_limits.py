"""Limits of an attempt: exceeding one ends it with an outcome that says which."""

import json
import os
from pathlib import Path

import pytest

from runhook.runner import cgroup
from runhook.runner.limits import Bounds
from runhook.runner.spec import LimitsSpec, RunSpec
from runhook.runner.tree import become_subreaper
from tests.executors.conftest import Bench, anyio_backend, bench, log, processes_of
from tests.runner.test_notebook import execute, repository_of, write

__all__ = ["anyio_backend", "bench", "repository_of"]
pytestmark = pytest.mark.anyio
MEGABYTE = 1_000_000
EATER = "python3 -c \"x = b'x' * 300_000_000; print('eaten')\""


@pytest.fixture
def groups() -> None:
    """Skip where the machine lets us make no control groups."""
    name = "0" * 32
    group = cgroup.make(name)
    if group is None or not group.limit("memory", MEGABYTE):
        pytest.skip("this machine lets us make no control group with a memory limit")
    group.remove()


def told(spec: RunSpec) -> dict[str, list[str]]:
    """What the runner said about its limits."""
    lines = (Path(spec.directory) / "events.jsonl").read_text().splitlines()
    (data,) = [each["data"] for each in map(json.loads, lines) if each["kind"] == "limits"]
    return dict(data)


async def test_a_step_that_takes_too_long_is_timed_out(bench: Bench) -> None:
    limits = LimitsSpec(time=600, steps={"command": 0.3, "checkout": 0.001})
    result = await bench.run(bench.spec(command="sleep 600", limits=limits))
    assert (result.outcome, result.step) == ("timed_out", "command")
    assert result.reason == "the step command took longer than its limit of 0.3 seconds"


@pytest.mark.usefixtures("groups")
async def test_memory_is_held_by_a_control_group_that_goes_with_the_attempt(bench: Bench) -> None:
    spec = bench.spec(command=EATER, limits=LimitsSpec(memory=60 * MEGABYTE))
    result = await bench.run(spec)
    assert (result.outcome, result.step) == ("failed", "command")
    assert result.reason == "out of memory: used 60.0 MB of 60.0 MB"
    assert told(spec)["enforced"] == ["memory 60.0 MB (control group)"]
    assert cgroup.find(cgroup.name_of(Path(spec.directory))) is None


@pytest.mark.usefixtures("groups")
async def test_a_kernel_without_memory_left_says_so_in_its_cell(
    bench: Bench, repository_of: object
) -> None:
    write(repository_of[0] / "a.ipynb", "x = 1", "y = b'x' * 900_000_000", "z = 1")  # type: ignore[index]
    limits = LimitsSpec(memory=400 * MEGABYTE)
    _, result, kept = await execute(bench, repository_of, limits=limits)
    assert result.outcome == "failed"
    assert "out of memory" in result.reason
    assert "out of memory" in json.dumps(kept["cells"][1]["outputs"])
    assert kept["cells"][2]["outputs"] == []


@pytest.mark.usefixtures("groups")
async def test_a_fork_bomb_stays_small_and_ends_with_its_run(bench: Bench) -> None:
    bomb = "bomb() { bomb | bomb & }; bomb; sleep 1; exit 4"
    spec = bench.spec(command=bomb, limits=LimitsSpec(processes=40, time=20))
    result = await bench.run(spec)
    assert result.outcome in ("failed", "timed_out")
    assert processes_of(spec) == []


async def test_without_control_groups_memory_and_processes_are_watched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cgroup, "make", lambda name: None)
    become_subreaper()  # servers of other tests are none of these processes
    children = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "600")
    try:
        hungry = Bounds(LimitsSpec(memory=1, cpus=2), tmp_path)
        many = Bounds(LimitsSpec(processes=1), tmp_path)
        await_child = hungry.exceeded()
        assert await_child and await_child.startswith("out of memory: used ")
        assert hungry.pause
        assert hungry.enforced == ["memory 1 bytes (looked at twice a second)"]
        assert hungry.not_enforced[0].startswith("2 cores: ")
        assert many.exceeded() is None
    finally:
        os.kill(children, 9)
        os.waitpid(children, 0)


async def test_a_log_that_grows_too_long_ends_the_run(bench: Bench) -> None:
    spec = bench.spec(command="yes; sleep 600", limits=LimitsSpec(output=MEGABYTE))
    result = await bench.run(spec)
    assert (result.outcome, result.reason) == ("failed", "the log grew beyond its limit of 1.0 MB")
    assert processes_of(spec) == []


async def test_files_that_take_too_much_end_the_run(bench: Bench) -> None:
    command = "head -c 5000000 /dev/zero > big; ln big same; sleep 600"
    result = await bench.run(bench.spec(command=command, limits=LimitsSpec(disk=2 * MEGABYTE)))
    assert result.outcome == "failed"
    assert "its files took 5." in (result.reason or "")


async def test_within_its_limits_a_run_is_what_it_is_without(bench: Bench) -> None:
    generous = LimitsSpec(
        60, {"command": 60}, 500 * MEGABYTE, 2, 500, 10 * MEGABYTE, 100 * MEGABYTE
    )
    spec = bench.spec(command="echo one; echo two", limits=generous)
    assert (await bench.run(spec)).outcome == "succeeded"
    assert log(spec).endswith(b"one\ntwo\n")
