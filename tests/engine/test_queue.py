"""What starts do to each other: limits, overlap, waiting, giving up, trying again."""

import pytest

from runhook.model.run import RunState, Trigger
from runhook.services import runs
from tests.engine.conftest import LIMIT, Engine

pytestmark = pytest.mark.anyio


async def test_a_queued_run_says_what_it_waits_for(engine: Engine) -> None:
    job = await engine.job(max_running=1)
    started = []
    for _ in range(3):
        started.append(await engine.start(job))
        engine.pass_time(milliseconds=1)
    await engine.settle()
    waiting = [await engine.waiting(run) for run in started]
    assert waiting == [
        "",
        "next; the job allows one at a time",
        "1 ahead; the job allows one at a time",
    ]
    await engine.end(started[0])
    assert (await engine.run(started[1])).state == RunState.STARTING


async def test_a_pool_has_so_many_places_and_no_more(engine: Engine) -> None:
    first = await engine.start(await engine.job(name="a", pool="gpu"))
    engine.pass_time(milliseconds=1)
    second = await engine.start(await engine.job(name="b", pool="gpu"))
    await engine.settle()
    assert (await engine.run(first)).state == RunState.STARTING
    assert await engine.waiting(second) == "next; the pool gpu has 1 place, and all are taken"
    await engine.end(first)
    assert (await engine.run(second)).state == RunState.STARTING


async def test_queueing_runs_one_after_another_up_to_a_maximum(engine: Engine) -> None:
    job = await engine.job(overlap="queue", max_queued=1)
    first, second, third = [await engine.start(job) for _ in range(3)]
    assert [run.state for run in (first, second, third)] == ["queued", "queued", "skipped"]
    assert third.reason == "the job's queue is full: it holds at most 1"
    await engine.settle()
    assert [(await engine.run(run)).state for run in (first, second)] == ["starting", "queued"]


async def test_a_replaced_run_is_gone_before_the_new_one_begins(engine: Engine) -> None:
    job = await engine.job(overlap="replace")
    first = await engine.start(job)
    await engine.settle()
    second = await engine.start(job)
    await engine.settle()
    assert (await engine.run(second)).state == RunState.QUEUED
    await engine.end(first, "cancelled")
    assert (await engine.run(first)).reason == "replaced by a newer run"
    assert (await engine.run(second)).state == RunState.STARTING


async def test_a_run_that_waits_too_long_ends_as_timed_out(engine: Engine) -> None:
    blocking = [await engine.start(await engine.job(name=f"b{n}")) for n in range(LIMIT)]
    await engine.settle()
    run = await engine.start(await engine.job(queue_timeout="1m"))
    await engine.settle()
    assert engine.dispatcher.wait() == 30
    engine.pass_time(seconds=59)
    await engine.settle()
    assert (await engine.run(run)).state == RunState.QUEUED
    engine.pass_time(seconds=1)
    await engine.settle()
    ended = await engine.run(run)
    assert (ended.state, ended.exit_code) == (RunState.TIMED_OUT, None)
    assert "queue_timeout" in (ended.reason or "")
    assert (await engine.run(blocking[0])).state == RunState.STARTING


async def test_retries_wait_longer_each_time_and_keep_their_attempts(engine: Engine) -> None:
    job = await engine.job(retry={"count": 2, "delay": "10s", "backoff": 3})
    run = await engine.start(job)
    await engine.settle()
    delays = []
    for _ in range(2):
        await engine.end(run, "failed", 1)
        waiting = await engine.run(run)
        assert waiting.state == RunState.QUEUED
        assert waiting.not_before_at
        delays.append((waiting.not_before_at - engine.now).total_seconds())
        assert "tried again at" in await engine.waiting(run)
        engine.now = waiting.not_before_at
        await engine.settle()
    await engine.end(run, "failed", 1)
    view = await engine.view(run)
    assert view.run.state == RunState.FAILED
    assert [attempt.number for attempt in view.attempts] == [1, 2, 3]
    assert 10 <= delays[0] <= 11
    assert 30 <= delays[1] <= 33


@pytest.mark.parametrize(
    ("outcome", "on", "again"),
    [
        ("failed", None, True),
        ("timed_out", None, False),
        ("timed_out", ["timed_out"], True),
        ("failed", ["lost"], False),
        ("cancelled", ["failed", "timed_out", "lost"], False),
        ("succeeded", None, False),
    ],
)
async def test_only_chosen_outcomes_are_tried_again(
    engine: Engine, outcome: str, on: list[str] | None, again: bool
) -> None:
    retry = {"count": 1, **({"on": on} if on else {})}
    run = await engine.start(await engine.job(retry=retry))
    await engine.settle()
    await engine.end(run, outcome)  # type: ignore[arg-type]
    assert len((await engine.view(run)).attempts) == (2 if again else 1)


async def test_a_cancelled_run_is_not_revived_by_a_retry(engine: Engine) -> None:
    run = await engine.start(await engine.job(retry={"count": 5, "delay": "1h"}))
    await engine.settle()
    await engine.end(run, "failed", 1)
    await engine.database.write(lambda tx: runs.cancel(tx, engine.caller, run.id, engine.now))
    engine.pass_time(hours=2)
    await engine.settle()
    assert (await engine.run(run)).state == RunState.CANCELLED
    assert len((await engine.view(run)).attempts) == 1


async def test_success_starts_the_jobs_that_follow_each_once(engine: Engine) -> None:
    first = await engine.job(name="load")
    report = await engine.job(name="report", triggers=[{"after": "load"}])
    stranger = await engine.job(name="other", triggers=[{"after": "somebody"}])
    failing, run = await engine.start(first), await engine.start(first)
    await engine.settle()
    await engine.end(failing, "failed", 1)
    assert await engine.runs_of(report) == []
    await engine.end(run)
    (made,) = await engine.runs_of(report)
    assert (made.trigger, made.caused_by) == (Trigger.JOB, run.id)
    assert await engine.runs_of(stranger) == []


async def test_jobs_that_follow_each_other_in_a_circle_stop(engine: Engine) -> None:
    ping = await engine.job(name="ping", triggers=[{"after": "pong"}])
    pong = await engine.job(name="pong", triggers=[{"after": "ping"}])
    run = await engine.start(ping)
    await engine.settle()
    await engine.end(run)
    (answer,) = await engine.runs_of(pong)
    await engine.end(answer)
    assert len(await engine.runs_of(ping)) == 1
    notices = [
        each.data["message"] for each in (await engine.view(answer)).events if each.kind == "notice"
    ]
    assert "for ever" in notices[0]
