"""What a killed runner ran ends with it, and nothing else does."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from runhook.runner.leftovers import end_leftovers
from runhook.runner.spec import RESERVE, LimitsSpec, Result, make_reserve
from tests.executors.conftest import Bench, processes_of
from tests.servers.small_disk import mounted

pytestmark = pytest.mark.anyio


async def until(path: Path, lines: int) -> list[int]:
    """The numbers in a file, once there are so many."""
    while not path.exists() or len(path.read_text().split()) < lines:
        await asyncio.sleep(0.01)
    return [int(word) for word in path.read_text().split()]


async def test_everything_that_a_killed_runner_ran_is_ended(bench: Bench, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = f"""
        echo $$ >> {pids}
        (setsid sh -c 'echo $$ >> {pids}; exec sleep 600' &)
        env -i sh -c 'echo $$ >> {pids}; trap "" TERM; while :; do sleep 1; done' &
        (cd / && exec env -i sh -c 'echo $$ >> {pids}; exec sleep 600') &
        wait
    """
    spec, other = bench.spec(command=command), bench.spec(command="sleep 600")
    handle, other_handle = await bench.start(spec), await bench.start(other)
    found = await until(pids, 4)
    while not processes_of(other):
        await asyncio.sleep(0.01)
    os.kill(handle["pid"], signal.SIGKILL)
    await bench.executor.ended(handle)
    await bench.executor.clean(spec.directory, handle)
    left = [pid for pid in found if psutil.pid_exists(pid)]
    assert [pid for pid in left if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE] == []
    assert not (Path(spec.directory) / "workspace").exists()
    assert processes_of(other), "another attempt was touched"
    os.kill(other_handle["pid"], signal.SIGTERM)
    await bench.executor.ended(other_handle)


async def test_what_cannot_be_ended_is_not_waited_for_without_end(bench: Bench) -> None:
    spec = bench.spec(command="exec sleep 600")
    handle = await bench.start(spec)
    while not processes_of(spec):
        await asyncio.sleep(0.01)
    os.kill(handle["pid"], signal.SIGKILL)
    await bench.executor.ended(handle)
    (left,) = end_leftovers(Path(spec.directory), grace=0, patience=0)
    assert left.pid == processes_of(spec)[0].pid
    assert end_leftovers(Path(spec.directory)) == []
    assert processes_of(spec) == []


async def test_a_process_whose_first_thread_has_ended_is_ended_too(bench: Bench) -> None:
    program = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "print('up', flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    spec = bench.spec(command=f"python3 -c '{program}'", limits=LimitsSpec(time=2), grace=0.3)
    assert (await bench.run(spec)).outcome in ("timed_out", "failed")
    assert processes_of(spec) == []


async def test_a_parent_that_hangs_is_replaced(bench: Bench) -> None:
    handle = await bench.start(bench.spec(command="sleep 600"))
    parent = psutil.Process(handle["pid"]).ppid()
    os.kill(parent, signal.SIGSTOP)
    try:
        assert (await bench.run(bench.spec())).outcome == "succeeded"
    finally:
        os.kill(parent, signal.SIGKILL)
        os.kill(handle["pid"], signal.SIGTERM)
    await bench.executor.ended(handle)


async def test_what_cannot_be_noted_disables_no_limit(bench: Bench) -> None:
    spec = bench.spec(command="echo hi; sleep 600", limits=LimitsSpec(time=1))
    spec.save()
    (Path(spec.directory) / "log.index").symlink_to("/dev/full")
    assert (await bench.run(spec)).outcome == "timed_out"


async def test_a_result_finds_room_on_a_full_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", megabytes=1) as disk:
        make_reserve(disk.path)
        disk.fill()
        with pytest.raises(OSError, match="No space"):
            (disk.path / "more").write_bytes(b"x" * 8192)
        Result("succeeded", 1.0, 0).save(disk.path)
        assert Result.load(disk.path) == Result("succeeded", 1.0, 0)
        assert not (disk.path / RESERVE).exists()
