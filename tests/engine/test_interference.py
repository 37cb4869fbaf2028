"""One thing that misbehaves, an attempt, a row, a clock, a moment, concerns itself alone."""

import asyncio
import errno
import json
import os
from datetime import timedelta

import pytest
from sqlalchemy import text

from runhook.engine import sighting
from runhook.executors.base import Phase
from runhook.model.run import RunState
from runhook.services import jobs as job_service
from runhook.services import runs as run_service
from runhook.store import jobs
from runhook.store.database import Transaction
from tests.engine.conftest import Engine

pytestmark = pytest.mark.anyio
YEAR = timedelta(days=365)


async def sql(engine: Engine, statement: str, **values: object) -> None:
    await engine.database.write(lambda tx: tx.execute(text(statement), values) and None)


@pytest.mark.parametrize("name", ["lock.txt", "events.jsonl", "result.json"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
async def test_a_hostile_attempt_directory_stops_nobody_elses_watching(
    engine: Engine, name: str, make: object
) -> None:
    hostile, good = (
        await engine.start(await engine.job()),
        await engine.start(await engine.job(name="good")),
    )
    await engine.settle()
    attempt = (await engine.view(hostile)).attempt
    assert attempt
    folder = engine.site.directory(attempt.id)
    make(folder / name)  # type: ignore[operator]
    if name != "result.json":
        (folder / "result.json").write_text('{"outcome": "succeeded", "finished_at": 1}')
    async with asyncio.timeout(10):
        engine.pass_time(seconds=5)
        await engine.settle()
        await engine.end(good)
    assert (await engine.run(good)).state == RunState.SUCCEEDED
    if name != "result.json":
        assert (await engine.run(hostile)).state == RunState.SUCCEEDED


async def test_a_machine_that_cannot_read_for_a_moment_says_nothing_about_an_attempt(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await engine.start(await engine.job(retries=1))
    await engine.settle()

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(sighting, "read_regular", fail)
        engine.pass_time(seconds=5)
        await engine.settle()
    assert (await engine.run(run)).state == RunState.STARTING
    await engine.end(run)
    assert len((await engine.view(run)).attempts) == 1


@pytest.mark.parametrize("data", ["NaN", "1e999", "[" * 700 + "]" * 700, '"\\ud800"'])
async def test_a_poisoned_report_is_left_out_and_the_run_ends(engine: Engine, data: str) -> None:
    run = await engine.start(await engine.job())
    await engine.settle()
    (attempt,) = engine.executor.specs
    line = f'{{"at": 1, "kind": "notice", "data": {{"m": {data}}}}}\n'
    (engine.site.directory(attempt) / "events.jsonl").write_text(line)
    await engine.end(run)
    assert (await engine.run(run)).state == RunState.SUCCEEDED


async def test_a_definition_that_cannot_be_read_any_more_keeps_no_run_from_ending(
    engine: Engine,
) -> None:
    rule = {"cron": "@hourly", "zone": "Europe/Kyiv"}
    first = await engine.job(name="load")
    await engine.job(name="report", triggers=[{"after": "load"}], schedules=[rule])
    spoiled = await engine.job(name="spoiled", retries=2, schedules=[rule])
    run, other = await engine.start(first), await engine.start(spoiled)
    await engine.settle()
    for table in ("jobs", "job_versions"):
        await sql(engine, f"UPDATE {table} SET spec = replace(spec, 'Europe/Kyiv', 'Gone/Zone')")
    await engine.end(run)
    assert (await engine.run(run)).state == RunState.SUCCEEDED
    (attempt,) = [key for key, each in engine.executor.specs.items() if each.run_id == other.id]
    engine.executor.finish(attempt, "failed", engine.now.timestamp(), 1)
    engine.watcher.tell(attempt)
    await engine.settle()
    found = await engine.database.read(
        lambda tx: tx.execute(text("SELECT state FROM runs WHERE id = :id"), {"id": other.id}).one()
    )
    assert found[0] == "failed"


async def test_no_attempt_is_given_up_while_a_runner_has_it(engine: Engine) -> None:
    run = await engine.start(await engine.job(retries=3))
    await engine.settle()
    (attempt,) = engine.executor.specs
    (engine.site.directory(attempt) / "runner.json").write_text("{}")
    await sql(engine, "UPDATE attempts SET handle = NULL")
    engine.executor.refuse = "out of breath"
    for _ in range(10):
        await engine.dispatcher.tick(engine.now)
        engine.pass_time(seconds=60)
    assert (await engine.run(run)).state == RunState.STARTING
    engine.executor.refuse = ""
    engine.pass_time(seconds=200)
    await engine.settle()
    await engine.end(run)
    assert (await engine.run(run)).state == RunState.SUCCEEDED
    assert len((await engine.view(run)).attempts) == 1


async def test_a_clock_that_was_a_year_ahead_stops_no_schedule_retry_or_turn(
    engine: Engine,
) -> None:
    ticking = await engine.job(name="ticking", schedules=[{"cron": "0 * * * *"}])
    flaky = await engine.job(name="flaky", retry={"count": 1, "delay": "1m"})
    run = await engine.start(flaky)
    await engine.settle()
    engine.now += YEAR
    await engine.end(run, "failed", 1)
    (fired,) = await engine.runs_of(ticking)
    await engine.end(fired)
    engine.now -= YEAR
    await engine.settle()
    for _ in range(3):
        engine.pass_time(hours=1)
        await engine.settle()
        for each in await engine.runs_of(ticking):
            if each.state == RunState.STARTING:
                await engine.end(each)
    assert len(await engine.runs_of(ticking)) == 1 + 3
    assert len((await engine.view(run)).attempts) == 2


async def test_what_follows_an_end_that_was_noticed_late_has_its_full_patience(
    engine: Engine,
) -> None:
    first = await engine.job(name="load")
    report = await engine.job(
        name="report", triggers=[{"after": "load"}], queue_timeout="10m", overlap="queue"
    )
    flaky = await engine.job(name="flaky", retries=1, queue_timeout="10m")
    run, failing = await engine.start(first), await engine.start(flaky)
    await engine.settle()
    ended = engine.now.timestamp()
    engine.pass_time(hours=1)
    for each, outcome in ((run, "succeeded"), (failing, "failed")):
        attempt = (await engine.view(each)).attempt
        assert attempt
        engine.executor.finish(attempt.id, outcome, ended)  # type: ignore[arg-type]
        engine.watcher.tell(attempt.id)
    await engine.settle()
    (follower,) = await engine.runs_of(report)
    assert follower.state == RunState.STARTING
    assert (await engine.run(failing)).state == RunState.STARTING
    assert (await engine.run(run)).finished_at == engine.now - timedelta(hours=1)


async def test_a_stop_that_fails_once_is_asked_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await engine.start(await engine.job())
    await engine.settle()
    with monkeypatch.context() as patched:
        patched.setattr(engine.executor, "stop", None)
        await engine.database.write(
            lambda tx: run_service.cancel(tx, engine.caller, run.id, engine.now)
        )
        await engine.settle()
    await engine.settle()
    assert len(engine.executor.stopped) == 1


async def test_correcting_the_pool_of_a_job_frees_what_waits(engine: Engine) -> None:
    job = await engine.job(pool="gone")
    run = await engine.start(job)
    await engine.settle()
    assert await engine.waiting(run) == "next; there is no pool gone on this server"
    spec = job.spec.model_copy(update={"pool": "gpu"})
    await engine.database.write(
        lambda tx: job_service.change(tx, engine.caller, job.id, spec, engine.now)
    )
    await engine.settle()
    assert (await engine.run(run)).pool == "gpu"
    assert (await engine.run(run)).state == RunState.STARTING


async def test_what_replaces_waits_for_what_it_replaces_whatever_the_limit(engine: Engine) -> None:
    job = await engine.job(overlap="replace", max_running=2)
    await engine.start(job)
    await engine.settle()
    second = await engine.start(job)
    await engine.settle()
    assert (await engine.run(second)).state == RunState.QUEUED


async def test_an_edit_keeps_every_pause_and_a_resume_replays_nothing(engine: Engine) -> None:
    rules = [{"cron": "@hourly", "catch_up": "all"}, {"cron": "@hourly", "parameters": {"p": 1}}]
    job = await engine.job(schedules=rules, parameters={"p": 0})

    async def change(**more: object) -> list[bool]:
        spec = type(job.spec).model_validate({**job.spec.recipe_spec(), **more})
        await engine.database.write(
            lambda tx: job_service.change(tx, engine.caller, job.id, spec, engine.now)
        )
        armed = await engine.database.read(lambda tx: jobs.list_schedules(tx, job.id))
        return [each.paused for each in armed]

    await engine.database.write(
        lambda tx: job_service.pause(tx, engine.caller, job.id, True, engine.now)
    )
    assert await change(description="edited") == [True, True]
    engine.pass_time(days=3)
    assert await change(schedules=[{**rule, "paused": False} for rule in rules]) == [False, False]
    await engine.settle()
    assert await engine.runs_of(job) == []


async def test_a_long_circle_of_jobs_stops(engine: Engine) -> None:
    size = 103
    made = [
        await engine.job(name=f"j{n}", triggers=[{"after": f"j{(n - 1) % size}"}])
        for n in range(size)
    ]
    run = await engine.start(made[0])
    count = 0
    while run and count < 2 * size:
        await engine.settle()
        await engine.end(run)
        count += 1
        living = await engine.database.read(
            lambda tx: run_service.list_page(
                tx, engine.caller, size=2, states=[RunState.QUEUED, RunState.STARTING]
            )
        )
        run = living[0] if living else None  # type: ignore[assignment]
    assert count <= size


async def test_the_hints_of_a_write_are_given_although_its_caller_is_gone(engine: Engine) -> None:
    def work(tx: Transaction) -> None:
        tx.publish("something")

    with engine.database.bus.subscribe("something") as hint:
        task = asyncio.create_task(engine.database.write(work))
        await asyncio.sleep(0)
        task.cancel()
        assert await hint.wait(10)


async def test_two_looks_must_agree_that_an_attempt_is_gone(engine: Engine) -> None:
    run = await engine.start(await engine.job())
    await engine.settle()
    (attempt,) = engine.executor.phases
    engine.executor.phases[attempt] = Phase.GONE
    engine.watcher.tell(attempt)
    await engine.settle()
    assert (await engine.run(run)).state == RunState.STARTING
    assert json.dumps(engine.executor.cleaned) == "[]"
