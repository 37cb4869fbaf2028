"""The loops, with a fake executor and a clock of our own."""

import json
from collections.abc import Callable

import pytest

from runhook.errors import Invalid
from runhook.executors.base import Phase
from runhook.model.run import RunState
from runhook.services import runs
from runhook.store.database import Database
from runhook.testing import FakeExecutor
from tests.engine.conftest import LIMIT, Engine

pytestmark = pytest.mark.anyio


def only_attempt(engine: Engine) -> str:
    (attempt_id,) = engine.executor.specs
    return attempt_id


async def test_a_start_is_handed_to_the_executor_and_ends_with_its_result(engine: Engine) -> None:
    job = await engine.job(command="echo hello", environment_variables={"A": "b"})
    run = await engine.start(job)
    await engine.settle()
    spec = engine.executor.specs[only_attempt(engine)]
    assert (spec.command, spec.variables, spec.run_id) == ("echo hello", {"A": "b"}, run.id)
    assert (await engine.run(run)).state == RunState.STARTING

    at = engine.now.timestamp()
    engine.executor.report(spec.attempt_id, "step_started", at, step="command")
    engine.watcher.tell(spec.attempt_id)
    await engine.settle()
    assert (await engine.run(run)).state == RunState.RUNNING

    engine.executor.finish(spec.attempt_id, "succeeded", at, 0)
    engine.watcher.tell(spec.attempt_id)
    await engine.settle()
    ended = await engine.run(run)
    assert (ended.state, ended.exit_code) == (RunState.SUCCEEDED, 0)
    assert ended.finished_at == engine.now
    assert engine.executor.cleaned == [spec.attempt_id]


async def test_no_secret_stands_in_the_attempts_directory(engine: Engine) -> None:
    await engine.start(await engine.job())
    await engine.settle()
    attempt_id = only_attempt(engine)
    token = engine.executor.secrets[attempt_id].variables["RUNHOOK_TOKEN"]
    for path in engine.site.directory(attempt_id).rglob("*"):
        assert token.encode() not in path.read_bytes()


async def test_runs_above_the_limit_wait_their_turn_in_order(engine: Engine) -> None:
    job = await engine.job()
    started = []
    for _ in range(LIMIT + 2):
        started.append(await engine.start(job))
        engine.pass_time(microseconds=1)
    await engine.settle()
    states = [(await engine.run(run)).state for run in started]
    assert states == [RunState.STARTING] * LIMIT + [RunState.QUEUED] * 2
    waiting = [await engine.waiting(run) for run in started[LIMIT:]]
    assert waiting == ["next; the server runs 2 at a time", "1 ahead; the server runs 2 at a time"]

    first = next(iter(engine.executor.specs))
    engine.executor.finish(first, "failed", engine.now.timestamp(), 1)
    engine.watcher.tell(first)
    await engine.settle()
    assert (await engine.run(started[LIMIT])).state == RunState.STARTING


async def test_a_lost_hint_only_delays_the_end_until_the_next_sweep(engine: Engine) -> None:
    run = await engine.start(await engine.job())
    await engine.settle()
    attempt_id = only_attempt(engine)
    path = engine.site.directory(attempt_id) / "result.json"
    path.write_text(json.dumps({"outcome": "succeeded", "finished_at": 1.0, "exit_code": 0}))
    await engine.settle()
    assert (await engine.run(run)).state == RunState.STARTING
    engine.pass_time(seconds=3)
    await engine.settle()
    assert (await engine.run(run)).state == RunState.SUCCEEDED


async def test_what_is_gone_without_a_result_is_lost_with_a_reason(engine: Engine) -> None:
    run = await engine.start(await engine.job())
    await engine.settle()
    engine.executor.vanish(only_attempt(engine))
    for state in (RunState.STARTING, RunState.LOST):
        engine.watcher.tell(only_attempt(engine))
        await engine.settle()
        ended = await engine.run(run)
        assert ended.state == state
    assert "without a result" in (ended.reason or "")


async def test_a_failed_run_is_tried_again_as_often_as_the_job_allows(engine: Engine) -> None:
    run = await engine.start(await engine.job(retries=1))
    for _ in range(2):
        await engine.settle()
        attempt_id = list(engine.executor.specs)[-1]
        engine.executor.finish(attempt_id, "failed", engine.now.timestamp(), 7)
        engine.watcher.tell(attempt_id)
        await engine.settle()
    view = await engine.view(run)
    assert view.run.state == RunState.FAILED
    assert [attempt.exit_code for attempt in view.attempts] == [7, 7]


async def test_cancelling_a_living_run_asks_the_executor_once(engine: Engine) -> None:
    run = await engine.start(await engine.job(retries=3))
    await engine.settle()
    for _ in range(2):
        await engine.database.write(lambda tx: runs.cancel(tx, engine.caller, run.id, engine.now))
        await engine.settle()
    attempt_id = only_attempt(engine)
    assert engine.executor.stopped == [attempt_id]
    engine.executor.finish(attempt_id, "cancelled", engine.now.timestamp())
    engine.watcher.tell(attempt_id)
    await engine.settle()
    ended = await engine.run(run)
    assert (ended.state, ended.reason) == (RunState.CANCELLED, "cancelled by admin")


async def test_a_restarted_server_adopts_what_lives_and_starts_nothing_twice(
    engine: Engine, make_engine: Callable[[Database, FakeExecutor], Engine]
) -> None:
    run = await engine.start(await engine.job())
    await engine.settle()
    restarted = make_engine(engine.database, engine.executor)
    restarted.caller = engine.caller
    await restarted.settle()
    assert engine.executor.starts == 1
    engine.executor.finish(only_attempt(engine), "succeeded", engine.now.timestamp(), 0)
    restarted.watcher.tell(only_attempt(engine))
    await restarted.settle()
    assert (await engine.run(run)).state == RunState.SUCCEEDED
    restarted.watcher.close()


async def test_what_was_claimed_before_a_crash_is_handed_out_after_it(
    engine: Engine, make_engine: Callable[[Database, FakeExecutor], Engine]
) -> None:
    run = await engine.start(await engine.job())
    await engine.database.write(lambda tx: engine.dispatcher._claim(tx, engine.now))
    restarted = make_engine(engine.database, engine.executor)
    await restarted.dispatcher.tick(engine.now)
    assert engine.executor.phases[only_attempt(engine)] == Phase.RUNNING
    assert (await engine.run(run)).state == RunState.STARTING


async def test_an_executor_that_refuses_fails_the_run_with_its_words(engine: Engine) -> None:
    engine.executor.refuse = "no room on this machine"
    run = await engine.start(await engine.job())
    for _ in range(6):
        assert (await engine.run(run)).state in (RunState.QUEUED, RunState.STARTING)
        await engine.settle()
        engine.pass_time(seconds=engine.dispatcher.wait())
    ended = await engine.run(run)
    assert (ended.state, ended.step) == (RunState.FAILED, "spawn")
    assert "no room on this machine" in (ended.reason or "")


async def test_an_executor_that_refuses_for_a_moment_costs_a_moment(engine: Engine) -> None:
    engine.executor.refuse = "busy"
    run = await engine.start(await engine.job())
    await engine.settle()
    assert engine.dispatcher.wait() == 1
    engine.executor.refuse = ""
    engine.pass_time(seconds=1)
    await engine.settle()
    await engine.end(run)
    assert (await engine.run(run)).state == RunState.SUCCEEDED


async def test_a_due_schedule_fires_once_and_late_fires_do_not_pile_up(engine: Engine) -> None:
    job = await engine.job(schedules=[{"cron": "*/5 * * * *", "zone": "Europe/Berlin"}])
    await engine.settle()
    assert await engine.runs_of(job) == []
    engine.pass_time(minutes=5)
    await engine.settle()
    await engine.settle()
    (run,) = await engine.runs_of(job)
    assert run.scheduled_for is not None
    assert (run.scheduled_for.minute, run.scheduled_for.second) == (5, 0)
    engine.pass_time(hours=3)
    await engine.settle()
    assert len(await engine.runs_of(job)) == 2


async def test_the_scheduler_waits_exactly_until_the_next_fire(engine: Engine) -> None:
    await engine.job(schedule="@hourly")
    engine.pass_time(minutes=59)
    await engine.scheduler.tick(engine.now)
    assert engine.scheduler.wait() == 30


async def test_no_overlap_skips_the_second_start_and_says_why(engine: Engine) -> None:
    job = await engine.job(concurrency_policy="Forbid")
    await engine.start(job)
    second = await engine.start(job)
    assert second.state == RunState.SKIPPED
    assert "run 1 was still active" in (second.reason or "")


async def test_replace_cancels_what_is_active(engine: Engine) -> None:
    job = await engine.job(concurrency_policy="Replace")
    first = await engine.start(job)
    second = await engine.start(job)
    assert (await engine.run(first)).state == RunState.CANCELLED
    assert (await engine.run(second)).state == RunState.QUEUED


async def test_an_idempotency_key_gives_the_first_run_again(engine: Engine) -> None:
    job = await engine.job()
    first = await engine.start(job, idempotency_key="k")
    assert (await engine.start(job, idempotency_key="k")).id == first.id
    assert (await engine.start(job, idempotency_key="other")).id != first.id


async def test_a_start_may_change_declared_parameters_only(engine: Engine) -> None:
    job = await engine.job(parameters={"region": "north", "year": 2026})
    run = await engine.start(job, parameters={"region": "007"})
    assert run.parameters == {"region": "007", "year": 2026}
    with pytest.raises(Invalid) as caught:
        await engine.start(job, parameters={"regoin": "x"})
    assert "did you mean region?" in caught.value.details["parameters.regoin"]


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"outcome": "splendid", "finished_at": 1}',
        '{"outcome": "succeeded", "finished_at": "now"}',
        '{"outcome": "succeeded", "finished_at": 1e300}',
        '{"outcome": "succeeded", "finished_at": 1, "exit_code": "0"}',
        '{"outcome": "succeeded", "finished_at": 1, "more": 1}',
    ],
)
async def test_a_result_that_is_none_ends_the_run_as_failed(engine: Engine, text: str) -> None:
    run = await engine.start(await engine.job())
    await engine.settle()
    attempt_id = only_attempt(engine)
    (engine.site.directory(attempt_id) / "result.json").write_text(text)
    engine.watcher.tell(attempt_id)
    await engine.settle()
    ended = await engine.run(run)
    assert ended.state == RunState.FAILED
    assert "cannot be read" in (ended.reason or "")


async def test_reports_that_are_none_do_not_stop_the_others(engine: Engine) -> None:
    run = await engine.start(await engine.job())
    await engine.settle()
    attempt_id = only_attempt(engine)
    lines = [
        b"\xff\x00 garbage",
        b"[" * 5000,
        b'{"at": "x", "kind": "notice", "data": {}}',
        b'{"at": 1e400, "kind": "notice", "data": {}}',
        b'{"at": 1, "kind": 7, "data": []}',
        b'{"at": 1, "kind": "checked_out", "data": {"path": "a\\u0000\\ud800", "commit": 1}}',
        b'{"at": 1, "kind": "' + b"k" * 500 + b'", "data": {"m": null}}',
        b'{"at": 1, "kind": "host_key_unknown", "data": {"host": 7, "keys": [1]}}',
        b'{"at": 1, "kind": "step_started", "data": {"step": "command"}}',
    ]
    path = engine.site.directory(attempt_id) / "events.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    engine.watcher.tell(attempt_id)
    await engine.settle()
    assert (await engine.run(run)).state == RunState.RUNNING
    engine.executor.finish(attempt_id, "succeeded", engine.now.timestamp(), 0)
    engine.watcher.tell(attempt_id)
    await engine.settle()
    view = await engine.view(run)
    assert view.run.state == RunState.SUCCEEDED
    assert view.waterfall(engine.now)
