"""What made people lose trust in other products, row by row, and that it does not happen here."""

import asyncio
import json
import secrets
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import nbformat
import psutil
import pytest

from runhook.engine.scheduler import Scheduler, Watchdog
from runhook.executors.base import Phase
from runhook.model.access import Caller
from runhook.model.job import JobSpec
from runhook.model.run import RunState
from runhook.model.schedule import Schedule, change_days
from runhook.services import jobs as job_service
from runhook.services import runs as run_service
from runhook.store import jobs, runs
from runhook.store.database import Database
from tests.conftest import Api, LiveServer, MakeServer, Repository
from tests.engine.conftest import LIMIT, NOON, Engine

CALLER = Caller("", "nobody", "main/admin", admin=True)


def wait_for(fact: Callable[[], object]) -> None:
    """Until it holds; whoever waits for ever is ended by the test run's limit."""
    while not fact():
        time.sleep(0.01)


def marked(mark: str) -> int:
    """How many processes live with this word in their command line; by its number a process in a
    box is not found outside."""
    return sum(mark in (each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))


def test_r1_a_restarted_server_adopts_a_living_run_and_starts_nothing_again(
    api: Api, meeting: Path
) -> None:
    proof, go = meeting / "proof", meeting / "go"
    command = f"echo begun | tee -a {proof}; while [ ! -e {go} ]; do sleep 0.02; done; echo ended"
    run = api.start(api.apply(name="long", command=command))["id"]
    wait_for(proof.exists)
    port = api.server.port
    for number in (signal.SIGKILL, signal.SIGTERM):
        api.server.kill(number)
        api.server.output.clear()
        api.server.start(port)
        wait_for(lambda: api.run(run)["state"] == "running")
    go.touch()
    assert api.finished(run)["state"] == "succeeded"
    assert (proof.read_text(), api.log(run)) == ("begun\n", "begun\nended\n")
    assert len(api.run(run)["attempts"]) == 1  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_r2_a_probe_that_errs_once_ends_nothing_and_what_ended_stays(engine: Engine) -> None:
    run = await engine.start(await engine.job(retry={"count": 3, "on": ["lost"]}))
    await engine.settle()
    (attempt,) = engine.executor.phases
    for phase in (Phase.GONE, Phase.RUNNING) * 3:
        engine.executor.phases[attempt] = phase
        engine.watcher.tell(attempt)
        await engine.settle()
    assert (await engine.run(run)).state == RunState.STARTING
    assert (engine.executor.stopped, engine.executor.cleaned) == ([], [])
    await engine.end(run, "succeeded")
    ended = await engine.view(run)
    for _ in range(3):
        engine.watcher.tell(attempt)
        engine.pass_time(seconds=5)
        await engine.settle()
    assert await engine.view(run) == ended
    assert ended.run.state == RunState.SUCCEEDED


def test_r3_cancel_ends_the_whole_tree_and_no_retry_revives_it(
    make_server: MakeServer,
) -> None:
    server = make_server(RUNHOOK_RUNS_GRACE="0.3").start()
    api = Api(server, server.token())
    mark = secrets.token_hex(8)
    stubborn = f"""
        trap '' INT TERM
        (setsid bash -c 'trap "" INT TERM; while :; do sleep 1; done' {mark} &)
        bash -c 'while :; do sleep 1; done' {mark}
    """
    job = api.apply(name="stubborn", command=stubborn, retry={"count": 5})
    run = api.start(job)["id"]
    wait_for(lambda: marked(mark) == 2)
    api.request("POST", f"/api/runs/{run}/cancel")
    ended = api.finished(run)
    assert (ended["state"], ended["reason"]) == ("cancelled", "cancelled by admin")
    assert marked(mark) == 0
    assert len(ended["attempts"]) == 1  # type: ignore[arg-type]
    again = api.request("POST", f"/api/runs/{run}/cancel")
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")


@pytest.mark.anyio
async def test_r4_two_schedulers_fire_a_schedule_once(database: Database) -> None:
    rules = [{"cron": "* * * * *"}, {"cron": "@every 60s"}]
    spec = JobSpec.model_validate({"name": "ticking", "command": "true", "schedules": rules})
    job = await database.write(lambda tx: job_service.create(tx, CALLER, spec, NOON))
    now = NOON
    schedulers = [Scheduler(database) for _ in range(3)]
    for _ in range(4):
        now += timedelta(minutes=1)
        await asyncio.gather(*(scheduler.tick(now) for scheduler in schedulers))
    made = await database.read(lambda tx: runs.list_runs(tx, runs.RunFilter(job.id), size=100))
    fires = [(run.schedule_id, run.scheduled_for) for run in made]
    assert len(fires) == len(set(fires)) == 2 * 4


@pytest.mark.anyio
async def test_r5_no_error_stops_a_schedule_and_what_is_late_is_told(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    good = await engine.job(name="good", schedules=[{"cron": "* * * * *"}])
    bad = await engine.job(name="bad", schedules=[{"cron": "* * * * *"}])
    (armed,) = await engine.database.read(lambda tx: jobs.list_schedules(tx, bad.id))
    await spoil(engine.database, armed.id, {"cron": "* * * * *", "zone": "Gone/Forever"})
    for _ in range(3):
        engine.pass_time(minutes=1)
        await engine.settle()
    assert len(await engine.runs_of(good)) == 3
    assert await engine.runs_of(bad) == []
    await Watchdog(engine.database).tick(engine.now)
    assert f"schedule {armed.id} is enabled and late" in caplog.text
    await spoil(engine.database, armed.id, {"cron": "* * * * *"})
    engine.pass_time(seconds=2)
    await engine.settle()
    assert len(await engine.runs_of(bad)) == 1


async def spoil(database: Database, schedule_id: str, rule: dict[str, str]) -> None:
    """Make a schedule's row what a changed time zone database may make of it."""
    from sqlalchemy import update

    from runhook.store.tables import schedules

    statement = update(schedules).where(schedules.c.id == schedule_id).values(rule=rule)
    await database.write(lambda tx: tx.execute(statement) and None)


def test_r6_a_daily_run_is_daily_also_when_clocks_change() -> None:
    rule = Schedule(cron="30 2 * * *", zone="Europe/Berlin")
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    fires = list(takewhile(lambda fire: fire < end, rule.fires(begin)))
    assert len(fires) == len(set(fires)) == 365
    forward, back = change_days(rule, begin)
    assert [len(day.fires) for day in (forward, back)] == [1, 1]
    assert forward.fires == [forward.at], "2:30 does not exist: it fires right after the gap"


def test_r7_the_database_is_never_locked_under_load(api: Api) -> None:
    job = api.apply(name="load", command="true", overlap="skip")
    statuses: list[int] = []

    def caller() -> None:
        for _ in range(25):
            statuses.append(api.request("POST", f"/api/jobs/{job}/start").status_code)
            statuses.append(api.request("GET", "/api/runs?page_size=5").status_code)

    callers = [threading.Thread(target=caller) for _ in range(12)]
    for each in callers:
        each.start()
    with closing(sqlite3.connect(api.server.data / "runhook.db")) as reader:
        while any(each.is_alive() for each in callers):
            reader.execute("SELECT count(*) FROM runs").fetchone()
    for each in callers:
        each.join()
    assert set(statuses) == {200}
    errors = (api.server.data.parent / "server.err").read_text()
    assert "locked" not in errors


def test_r8_one_endless_line_stops_nothing_and_no_child_is_left(
    shared_api: Api,
) -> None:
    size = 20_000_000
    mark = f"600.{secrets.randbelow(10**9):09}"
    command = f"(setsid sleep {mark} &); head -c {size} /dev/zero | tr '\\0' x"
    run = shared_api.finished(
        shared_api.start(shared_api.apply(name="line", command=command))["id"]
    )
    assert run["state"] == "succeeded"
    assert len(shared_api.log(run["id"])) == size
    assert marked(mark) == 0


@pytest.mark.parametrize("output", [r"\0", r"\xff\xfe\0\x1b[31m", r"\xed\xa0\x80"])
def test_r9_any_byte_may_be_written_and_the_run_ends(shared_api: Api, output: str) -> None:
    job = shared_api.apply(name="bytes", command=f"printf 'a{output}b' | tee /dev/stderr; exit 3")
    run = shared_api.finished(shared_api.start(job)["id"])
    assert (run["state"], run["exit_code"]) == ("failed", 3)
    raw = shared_api.request("GET", f"/api/runs/{run['id']}/log").content
    assert raw.startswith(b"a")
    assert shared_api.request("GET", f"/api/runs/{run['id']}").status_code == 200


def test_r10_runs_at_the_same_time_share_neither_files_nor_variables(
    shared_api: Api, repository: Repository, meeting: Path
) -> None:
    repository.commit({"data.txt": "committed"})
    command = (
        "test ! -e materials/mine; echo $WHO > materials/mine; export LEAK=$WHO; "
        f"touch {meeting}/$WHO; while [ ! -e {meeting}/a ] || [ ! -e {meeting}/b ]; "
        "do sleep 0.02; done; cat materials/mine materials/data.txt; env | grep LEAK"
    )
    job = shared_api.apply(
        name="private",
        command=command,
        parameters={"WHO": "?"},
        git_repositories=[{"url": repository.url}],
    )
    started = {
        who: shared_api.start(job, json={"parameters": {"WHO": who}})["id"] for who in ("a", "b")
    }
    for who, run in started.items():
        assert shared_api.finished(run)["state"] == "succeeded", shared_api.log(run)
        assert f"{who}\ncommittedLEAK={who}\n" in shared_api.log(run)


def test_r11_a_pid_of_before_a_reboot_is_nobodys(api: Api) -> None:
    run = api.start(api.apply(name="long", command="sleep 600"))["id"]
    wait_for(lambda: api.run(run)["state"] == "running")
    innocent = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        port = api.server.port
        api.server.kill()
        api.server.end_everything()
        reboot(api.server, {"pid": innocent.pid})
        api.server.start(port)
        api.request("POST", f"/api/runs/{run}/cancel")
        assert api.finished(run)["state"] in ("lost", "cancelled")
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def reboot(server: LiveServer, handle: dict[str, object]) -> None:
    """Make the handles of living attempts what they are after a restart of the machine: another
    boot, and pids that mean other programs now."""
    with closing(sqlite3.connect(server.data / "runhook.db")) as rows, rows:
        for name, text in rows.execute("SELECT id, handle FROM attempts WHERE finished_at IS NULL"):
            old = {**json.loads(text), "boot_id": "of-an-earlier-boot", **handle}
            rows.execute("UPDATE attempts SET handle = ? WHERE id = ?", (json.dumps(old), name))


@pytest.mark.anyio
async def test_r12_one_key_makes_one_run_also_at_the_same_instant(database: Database) -> None:
    spec = JobSpec(name="once", command="true")
    job = await database.write(lambda tx: job_service.create(tx, CALLER, spec, NOON))
    request = run_service.StartRequest(run_service.Trigger.API, idempotency_key="k")

    async def start(replica: Database) -> str:
        run = await replica.write(lambda tx: run_service.start(tx, CALLER, job.id, request, NOON))
        return run.id

    url = database.engine.url.render_as_string(hide_password=False)
    async with Database(url.replace("+psycopg", "")) as other:
        made = await asyncio.gather(*(start(each) for each in (database, other) * 10))
    assert len(set(made)) == 1


def test_r13_a_dead_kernel_ends_the_run_and_the_notebook_says_so(
    shared_api: Api, repository: Repository
) -> None:
    cells = ["print('alive')", "import os; os.kill(os.getpid(), 9)", "print('never')"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    repository.commit({"dies.ipynb": nbformat.writes(notebook)})
    job = shared_api.apply(
        name="dies",
        notebook="materials/dies.ipynb",
        git_repositories=[{"url": repository.url}],
    )
    run = shared_api.finished(shared_api.start(job)["id"])
    assert (run["state"], run["step"]) == ("failed", "notebook")
    assert "kernel" in str(run["reason"])
    (attempt,) = run["attempts"]  # type: ignore[misc]
    name = attempt["id"]
    folder = shared_api.server.data / "attempts" / name[:2] / name / "artifacts"
    kept = nbformat.read(folder / "dies.ipynb", as_version=4)
    assert [bool(cell.outputs) for cell in kept.cells] == [True, True, False]
    assert "kernel" in json.dumps(kept.cells[1].outputs).lower()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [("skip", 0), ("latest", 1), ("all", 36), ({"most": 5}, 5), ({"within": "30m"}, 6)],
)
async def test_r14_fires_missed_while_no_server_ran_follow_the_policy(
    engine: Engine, catch_up: object, expected: int
) -> None:
    rule = {"cron": "*/5 * * * *", "catch_up": catch_up}
    job = await engine.job(schedules=[rule], overlap="queue")
    engine.pass_time(hours=3, minutes=2)
    await engine.settle()
    found = await engine.runs_of(job)
    assert len(found) == expected
    assert len({run.scheduled_for for run in found}) == expected
    await engine.settle()
    assert len(await engine.runs_of(job)) == expected


@pytest.mark.anyio
async def test_r15_twelve_starts_at_once_begin_at_once_or_say_where_they_stand(
    engine: Engine,
) -> None:
    job = await engine.job()
    started = []
    for _ in range(12):
        started.append(await engine.start(job))
        engine.pass_time(milliseconds=1)
    await engine.settle()
    assert len(engine.executor.specs) == LIMIT
    waiting = [(await engine.view(run)).waiting for run in started[LIMIT:]]
    assert [each.ahead for each in waiting if each] == list(range(12 - LIMIT))
    assert {each.reason for each in waiting if each} == {f"the server runs {LIMIT} at a time"}


def test_every_row_has_its_test() -> None:
    names = {name for name in globals() if name.startswith("test_r")}
    assert {int(name.split("_")[1][1:]) for name in names} == set(range(1, 16))
