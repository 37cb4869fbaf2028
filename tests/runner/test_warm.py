"""Warm starts: kernels that are forked ahead behave as cold ones, in the same isolation."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runhook.runner import cgroup, scratch
from runhook.runner.levels import BOXED
from runhook.runner.spec import LimitsSpec, Result, RunSpec, Secrets
from runhook.runner.warm import keeper
from tests.executors.conftest import level
from tests.executors.test_leftovers import marked
from tests.runner.warm_job import Ended, WarmJob, kill, mark, output_of


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[WarmJob]:
    """A job that was run once: its first run starts cold, and teaches."""
    made = WarmJob(tmp_path_factory.mktemp("warm"), shared_cache)
    (made.repository / "beside.py").write_text("VALUE = 'from beside'\n")
    first = made.run("import decimal, wave, beside")
    assert first.result.outcome == "succeeded", first
    assert first.note.startswith("cold: no warm parent")
    yield made
    made.close()


def test_a_warm_run_has_its_own_place_variables_and_parameters(job: WarmJob) -> None:
    cells = (
        "# tags: parameters\nword = 'default'",
        "import beside, json, os, sys, tempfile",
        "print(json.dumps({'beside': beside.VALUE, 'word': word, 'cwd': os.getcwd(),"
        " 'temporary': tempfile.gettempdir(), 'variables': dict(os.environ),"
        " 'known': 'wave' in sys.modules, 'argv': sys.argv[0]}))",
    )
    more = {"parameters": {"word": "given"}, "variables": {"MINE": "yes"}}
    cold = job.run(*cells, **more)
    assert cold.note.startswith("cold"), "other variables, another parent"
    job.until(lambda told: sum(each["spare"] for each in told) == 2)
    warm = job.run(*cells, **more)
    assert warm.note == "warm"
    one, other = dict(cold.told), dict(warm.told)
    assert (other["beside"], other["word"]) == ("from beside", "given")
    assert Path(other["argv"]).name == Path(one["argv"]).name
    for ended, told in ((cold, one), (warm, other)):
        assert told["cwd"] == f"{ended.spec.directory}/workspace/nb"
        assert told["temporary"] == f"{ended.spec.directory}/tmp"
        own = {
            name: value.replace(ended.spec.attempt_id, "…")
            for name, value in told["variables"].items()
        }
        told["variables"] = {name: own[name] for name in own if name != "JPY_PARENT_PID"}
    assert one["variables"] == other["variables"]


def test_what_runs_import_is_learned_and_secrets_stay_with_their_run(job: WarmJob) -> None:
    secrets = Secrets(attached={"PASSWORD": "plugh-nowhere-else-y2"})
    cells = (
        "import json, os, sys",
        "names = ['wave', 'colorsys', 'beside']",
        "print(json.dumps([len(os.environ['PASSWORD']), [n for n in names if n in sys.modules]]))",
    )
    run = job.run(*cells, secrets=secrets)
    while run.note != "warm":  # the names of its variables are others: another parent
        job.ready()
        run = job.run("import colorsys, wave", *cells, secrets=secrets)
    job.ready()
    run = job.run(*cells, secrets=secrets)
    assert run.note == "warm"
    assert run.told == [21, ["wave", "colorsys"]], "imported ahead, but for the workspace's own"
    parents = [psutil.Process(each["process"]) for each in job.told()]
    for process in (*parents, *(child for each in parents for child in each.children(True))):
        assert b"plugh-nowhere" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    assert not any("plugh-nowhere" in memory_of(each.pid) for each in parents)


def memory_of(pid: int) -> str:
    """What is written in a process's heap."""
    found = b""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("[heap]"):
            first, last = (int(part, 16) for part in line.split()[0].split("-"))
            with Path(f"/proc/{pid}/mem").open("rb") as memory:
                memory.seek(first)
                found += memory.read(last - first)
    return found.decode("latin-1")


def test_forks_do_not_draw_the_same_random_numbers(job: WarmJob) -> None:
    cells = ("import json, random, uuid", "print(json.dumps([random.random(), str(uuid.uuid4())]))")
    one, other = job.warm(*cells).told, job.warm(*cells).told
    assert one[0] != other[0]
    assert one[1] != other[1]


def test_threads_processes_and_event_loops_work_after_the_fork(job: WarmJob) -> None:
    told = job.warm(
        "import asyncio, concurrent.futures as futures, json, multiprocessing, subprocess",
        "await asyncio.sleep(0)\nwith futures.ThreadPoolExecutor(4) as pool:\n"
        "    threads = list(pool.map(abs, [-1, -2]))",
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    processes = pool.map(abs, [-3, -4])",
        "spawned = multiprocessing.get_context('spawn').Pool(1).map(abs, [-5])",
        "shell = subprocess.run('echo $HOME; pwd', shell=True, capture_output=True, text=True)",
        "lines = !echo magic",
        "print(json.dumps([threads, processes, spawned, shell.stdout.split(), lines]))",
    )
    own = told.spec.directory
    assert told.told == [[1, 2], [3, 4], [5], [f"{own}/home", f"{own}/workspace/nb"], ["magic"]]


@pytest.mark.parametrize(
    ("last", "code", "signal_number"),
    [("os._exit(3)", 3, None), ("os.kill(os.getpid(), 9)", None, 9), ("os.abort()", None, 6)],
)
def test_a_warm_kernel_ends_as_it_ends(
    job: WarmJob, last: str, code: int | None, signal_number: int | None
) -> None:
    result = job.warm("import os", last, "print('never')").result
    assert (result.outcome, result.exit_code, result.signal) == ("failed", code, signal_number)
    assert "cell 2" in (result.reason or "")


def test_a_cancel_interrupts_the_cell_and_ends_what_it_left(job: WarmJob) -> None:
    name = mark()

    def cancel(spec: RunSpec, runner: int) -> None:
        output_of(spec, "begun")
        os.kill(runner, signal.SIGTERM)

    ended = job.warm(
        "import subprocess, time",
        f"subprocess.Popen('setsid sleep {name} & exec sleep 600', shell=True)",
        "print('begun', flush=True)\ntry:\n    time.sleep(600)\n"
        "except KeyboardInterrupt:\n    print('interrupted', flush=True)\n    raise",
        meanwhile=cancel,
    )
    assert ended.result.outcome == "cancelled"
    assert "interrupted" in ended.log
    assert marked(name) == []


def test_a_time_limit_ends_a_busy_loop(job: WarmJob) -> None:
    ended = job.warm("print('on')\nwhile True: pass", limits=LimitsSpec(time=3.0), grace=0.5)
    assert ended.result.outcome == "timed_out"


def test_a_memory_limit_holds_from_the_first_cell_on(job: WarmJob) -> None:
    limits = LimitsSpec(memory=400_000_000)
    ended = job.warm("import time\nkept = b'x' * 900_000_000\ntime.sleep(60)", limits=limits)
    assert ended.result.outcome == "failed"
    assert "out of memory" in (ended.result.reason or ""), ended.result
    group = cgroup.find(cgroup.name_of(Path(ended.spec.directory)))
    assert group is None, "its control group is gone"


def test_what_a_killed_runner_left_is_ended(job: WarmJob) -> None:
    name = mark()

    def end(spec: RunSpec, runner: int) -> None:
        output_of(spec, "begun")
        kill(runner)

    cell = f"import subprocess\nsubprocess.Popen(['sleep', '{name}'], start_new_session=True)"
    job.ready()
    ended = job.run(cell, "print('begun', flush=True)\nimport time; time.sleep(600)", meanwhile=end)
    job.until(lambda told: all(each["lent"] == 0 for each in told))
    assert marked(name) == []
    assert not (Path(ended.spec.directory) / "workspace").exists()


def test_a_kernel_that_kills_its_guard_takes_no_other_run_with_it(job: WarmJob) -> None:
    ended = job.warm("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nwhile True: pass")
    assert ended.result.outcome == "failed"
    assert job.run("1").note in ("warm", "cold: its warm parent is started again")
    job.warm("1")


def test_a_parent_that_was_killed_costs_one_cold_start(job: WarmJob) -> None:
    for each in job.told():
        kill(each["process"])
    job.until(lambda told: not told)
    cold = job.run("print(1)")
    assert cold.result.outcome == "succeeded"
    assert cold.note == "cold: its warm parent is started again"
    job.warm("1")


@pytest.mark.skipif(level() not in BOXED, reason="there is no box here")
def test_a_warm_run_sees_its_folders_and_not_the_server(job: WarmJob) -> None:
    told = job.warm(
        "import json, os\n"
        "own = os.path.dirname(os.environ['HOME'])\n"
        "def writes(path):\n"
        "    try: open(path + '/x', 'w').close()\n"
        "    except OSError as error: return error.errno\n"
        "print(json.dumps([sorted(os.listdir(own)), sorted(os.listdir(os.path.dirname(own))), "
        f"os.path.exists({job.address!r}), writes(own), writes(os.environ['HOME']), "
        "os.getuid()]))"
    )
    own, others, server, around, home, uid = told.told
    assert own == ["artifacts", "home", "out", "tmp", "workspace"]
    assert others == [told.spec.attempt_id], "what runs before it left is gone"
    assert server is False
    assert around
    assert home is None
    if level() == "own_user_bubblewrap":
        assert uid > 0x70000000


LOOK_FOR_ANOTHER = """
import json, os, time
print('looking', flush=True)
own = os.path.dirname(os.environ['HOME'])
base, limit, seen = os.path.dirname(own), time.monotonic() + 30, []
while not seen and time.monotonic() < limit:
    others = [f'{base}/{name}' for name in os.listdir(base) if name != os.path.basename(own)]
    seen = [each for each in others if os.path.ismount(f'{each}/artifacts')]
print(json.dumps([[os.listdir(f'{each}/workspace'), os.stat(f'{each}/home').st_uid == os.getuid()]
    for each in seen]))
"""


@pytest.mark.skipif(level() not in BOXED, reason="without a box there is none to be shared")
def test_others_in_the_box_see_a_runs_folders_only_when_its_kernel_begins(job: WarmJob) -> None:
    ends: list[Ended] = []

    def another(spec: RunSpec, _pid: int) -> None:
        output_of(spec, "looking")
        job.ready()
        ends.append(job.run("1"))

    job.ready()
    first = job.run(LOOK_FOR_ANOTHER, meanwhile=another)
    assert (first.note, ends[0].note) == ("warm", "warm")
    assert first.told == [[["nb"], True]], "checked out, and its system user's own"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"start_script": "echo hi"}, "start script"),
        ({"secrets": Secrets(files={"key": "text"})}, "secret files"),
    ],
)
def test_a_run_that_has_to_be_apart_starts_cold_and_says_why(
    job: WarmJob, more: dict[str, object], why: str
) -> None:
    ended = job.run("print(1)", **more)  # type: ignore[arg-type]
    assert ended.result.outcome == "succeeded"
    assert ended.note.startswith("cold: ")
    assert why in ended.note


def waits(spec: RunSpec) -> Path:
    """Once the notebook has begun: what it waits for."""
    output_of(spec, "begun")
    return Path(spec.directory) / "workspace" / "nb" / "go"


WAITS = (
    "import pathlib, time\nprint('begun', flush=True)\n"
    "while not pathlib.Path('go').exists(): time.sleep(0.01)"
)


def test_a_hold_that_cannot_be_written_down_costs_no_result(job: WarmJob) -> None:
    def bar_the_way(spec: RunSpec, runner: int) -> None:
        go = waits(spec)
        (Path(spec.directory) / "held.json" / "full").mkdir(parents=True)
        go.touch()

    ended = job.warm(WAITS, "1 / 0", meanwhile=bar_the_way, hold=600.0)
    assert "ZeroDivisionError" in (ended.result.reason or "")


def test_a_held_kernel_goes_with_its_directory(job: WarmJob) -> None:
    seen = []

    def remove(spec: RunSpec, runner: int) -> None:
        directory = Path(spec.directory)
        waits(spec).touch()
        while Result.load(directory) is None:
            time.sleep(0.01)
        seen.append((directory / "held.json").exists())
        scratch.remove_tree(directory)

    limits = LimitsSpec(disk=1 << 30)
    job.run(WAITS, "1 / 0", meanwhile=remove, hold=600.0, limits=limits)
    assert seen == [True]
    job.until(lambda told: not any(each["lent"] for each in told))
    assert not any("ipykernel" in " ".join(each.cmdline()) for each in job.processes())


@pytest.mark.skipif(level() not in BOXED, reason="there is no box here")
def test_a_kernel_keeps_its_folders_while_another_keeper_begins(job: WarmJob) -> None:
    def replace_keeper(spec: RunSpec, runner: int) -> None:
        go = waits(spec)
        keeper.dismiss(job.address)
        beside = job.run("print(1)")
        assert beside.note.startswith("cold")
        go.touch()

    ended = job.warm(
        "open('/tmp/mine', 'w').close()",
        WAITS,
        "import json\nopen('/tmp/more', 'w').close()\n"
        "print(json.dumps(pathlib.Path('/tmp/mine').exists()))",
        meanwhile=replace_keeper,
    )
    assert ended.told is True
