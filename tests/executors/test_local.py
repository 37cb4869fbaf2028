"""What a run may rely on, with real processes."""

import asyncio
import json
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from runhook.executors.base import Phase
from runhook.executors.local import LocalExecutor
from runhook.runner.identity import identity_of
from runhook.runner.spec import LimitsSpec, Secrets
from tests.executors.conftest import Bench, log, processes_of

pytestmark = pytest.mark.anyio


async def until(condition: object) -> None:
    """Wait for a fact; the test's own time limit is the end of patience."""
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("command", "outcome", "code", "number"),
    [
        ("true", "succeeded", 0, None),
        ("exit 7", "failed", 7, None),
        ("kill -SEGV $$", "failed", None, signal.SIGSEGV),
        ("kill -40 $$", "failed", None, 40),  # one without a name
        ("no-such-program", "failed", 127, None),
    ],
)
async def test_exit_codes_and_signals_are_told_apart(
    bench: Bench, command: str, outcome: str, code: int | None, number: int | None
) -> None:
    result = await bench.run(bench.spec(command=command))
    assert (result.outcome, result.exit_code, result.signal) == (outcome, code, number)


async def test_output_is_in_the_order_it_was_written_and_nothing_follows_it(bench: Bench) -> None:
    spec = bench.spec(command="for i in 1 2 3; do echo out $i; echo err $i >&2; done")
    await bench.run(spec)
    assert log(spec) == b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"


async def test_any_bytes_and_a_very_long_line_do_no_harm(bench: Bench) -> None:
    command = r"printf 'a\0\xff\033[0m'; head -c 50000000 /dev/zero | tr '\0' x"
    spec = bench.spec(command=command)
    assert (await bench.run(spec)).outcome == "succeeded"
    assert log(spec)[:8] == b"a\x00\xff\x1b[0mx"
    assert len(log(spec)) == 7 + 50_000_000


async def test_a_daemon_that_left_its_parents_is_ended_with_the_run(bench: Bench) -> None:
    program = "import os,time\nif os.fork()==0:\n os.setsid()\n if os.fork()==0: time.sleep(600)"
    spec = bench.spec(command=f"python3 -c '{program}'; sleep 600 & echo started")
    assert (await bench.run(spec)).outcome == "succeeded"
    assert processes_of(spec) == []


async def test_stopping_ends_even_what_ignores_every_polite_signal(bench: Bench) -> None:
    spec = bench.spec(command="trap '' INT TERM; echo up; while :; do sleep 0.1; done", grace=0.2)
    handle = await bench.start(spec)
    await until(lambda: log(spec) if (Path(spec.directory) / "log").exists() else b"")
    await bench.executor.stop(handle, timedelta(seconds=0.2))
    await bench.executor.ended(handle)
    result = json.loads((Path(spec.directory) / "result.json").read_text())
    assert result["outcome"] == "cancelled"
    assert processes_of(spec) == []


async def test_stopping_lets_a_program_tidy_up(bench: Bench) -> None:
    spec = bench.spec(command="trap 'echo tidy; exit' INT; echo up; while :; do sleep 0.05; done")
    handle = await bench.start(spec)
    await until(lambda: (Path(spec.directory) / "log").exists() and b"up" in log(spec))
    await bench.executor.stop(handle, timedelta(seconds=5))
    await bench.executor.ended(handle)
    assert b"tidy" in log(spec)


async def test_a_run_that_takes_too_long_is_timed_out_with_a_reason(bench: Bench) -> None:
    result = await bench.run(bench.spec(command="sleep 600", limits=LimitsSpec(time=0.3)))
    assert result.outcome == "timed_out"
    assert "0.3 seconds" in (result.reason or "")


async def test_one_attempt_sees_nothing_of_another_or_of_the_server(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_SECRET", "hidden")
    first = bench.spec(command="export LEAK=1; touch $HOME/leak $TMPDIR/leak leak; env")
    await bench.run(first, Secrets(variables={"RUNHOOK_TOKEN": "t1"}))
    second = bench.spec(command="env; ls -A $HOME $TMPDIR .", variables={"MINE": "a b\nc"})
    await bench.run(second)
    text = log(second).decode()
    assert "MINE=a b\nc" in text
    assert "leak" not in text.lower()
    assert "SERVER_SECRET" not in text
    assert "RUNHOOK_TOKEN" not in text


async def test_parameters_arrive_as_variables(bench: Bench) -> None:
    parameters = {"text": "007 'x' $HOME", "number": 1.5, "things": ["a", None]}
    spec = bench.spec(command='printf "%s\\n" "$text" "$number" "$things"', parameters=parameters)
    await bench.run(spec)
    assert log(spec).decode().splitlines() == ["007 'x' $HOME", "1.5", '["a", null]']


async def test_what_a_start_script_exports_reaches_the_command(bench: Bench) -> None:
    spec = bench.spec(start_script="echo set-up\nexport A='b c'", command="echo $A")
    await bench.run(spec)
    assert log(spec) == b"set-up\nb c\n"


async def test_a_failing_start_script_fails_the_run_at_its_step(bench: Bench) -> None:
    result = await bench.run(bench.spec(start_script="exit 9", command="echo never"))
    assert (result.outcome, result.step, result.exit_code) == ("failed", "start_script", 9)


async def test_starting_twice_starts_once(bench: Bench) -> None:
    spec = bench.spec(command="echo ran")
    handles = await asyncio.gather(*(bench.start(spec) for _ in range(5)))
    assert len({json.dumps(dict(handle)) for handle in handles}) == 1
    await bench.executor.ended(handles[0])
    assert await bench.start(spec) == handles[0]
    assert log(spec) == b"ran\n"


async def test_a_killed_runner_is_seen_as_gone_without_a_result(bench: Bench) -> None:
    spec = bench.spec(command="sleep 600")
    handle = await bench.start(spec)
    os.kill(handle["pid"], signal.SIGKILL)
    await bench.executor.ended(handle)
    assert [each.phase for each in await bench.executor.poll([handle])] == [Phase.GONE]
    assert not (Path(spec.directory) / "result.json").exists()
    await bench.executor.clean(spec.directory, handle)
    assert not (Path(spec.directory) / "workspace").exists()
    for process in processes_of(spec):
        process.kill()


async def test_runs_go_on_when_the_parent_and_the_server_are_gone(
    bench: Bench, tmp_path: Path
) -> None:
    spec = bench.spec(command="while [ ! -e go ]; do sleep 0.02; done; echo done")
    handle = await bench.start(spec)
    parent = psutil.Process(handle["pid"]).ppid()
    await bench.executor.close()
    os.kill(parent, signal.SIGKILL)
    restarted = LocalExecutor(tmp_path / "run")
    assert [each.phase for each in await restarted.poll([handle])] == [Phase.RUNNING]
    workspace = Path(spec.directory) / "workspace"
    await until(workspace.is_dir)
    (workspace / "go").touch()
    await restarted.ended(handle)
    assert log(spec) == b"done\n"
    assert (await bench.run(bench.spec())).outcome == "succeeded"  # with a parent of its own


async def test_a_pid_that_now_means_another_process_is_left_alone(bench: Bench) -> None:
    sleeper = psutil.Popen(["sleep", "600"])
    try:
        real = identity_of(sleeper.pid)
        assert real is not None
        stale = {"boot_id": real.boot_id, "pid": real.pid, "start_time": real.start_time - 1}
        await bench.executor.stop(stale, timedelta(0))
        await bench.executor.ended(stale)
        assert (await bench.executor.poll([stale]))[0].phase == Phase.GONE
        assert sleeper.is_running()
    finally:
        sleeper.kill()
        sleeper.wait()


async def test_the_tail_index_tells_when_the_log_grew(bench: Bench) -> None:
    began = time.time_ns() // 1000
    spec = bench.spec(command="echo a; sleep 0.1; echo b")
    await bench.run(spec)
    lines = (Path(spec.directory) / "log.index").read_text().splitlines()
    entries = [tuple(map(int, line.split())) for line in lines]
    assert entries[-1][1] == 4
    assert all(began < at for at, _ in entries)
    assert entries == sorted(entries)
    kinds = [
        json.loads(line)["kind"]
        for line in (Path(spec.directory) / "events.jsonl").read_text().splitlines()
    ]
    assert kinds.count("first_output") == 1


async def test_notebooks_that_a_command_writes_are_kept(bench: Bench) -> None:
    spec = bench.spec(command="echo '{}' > out.ipynb; ln -s /etc/passwd evil.ipynb; echo x > y")
    await bench.run(spec)
    kept = [path.name for path in (Path(spec.directory) / "artifacts").iterdir()]
    assert kept == ["out.ipynb"]


async def test_the_workspace_is_gone_after_the_run(bench: Bench) -> None:
    spec = bench.spec(command="mkdir -p deep/er; touch deep/er/file; chmod 500 deep/er")
    await bench.run(spec)
    left = {path.name for path in Path(spec.directory).iterdir()}
    assert left.isdisjoint({"workspace", "home", "tmp"})
