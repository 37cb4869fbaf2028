"""What the rest of Runhook relies on, on SQLite and on PostgreSQL alike."""

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from runhook.bus import Bus
from runhook.errors import SettingsError
from runhook.model.access import User
from runhook.model.git_access import GitCredentialInfo, KnownHost
from runhook.model.job import Job, JobSpec
from runhook.model.run import TERMINAL, TRANSITIONS, Event, RunState
from runhook.model.schedule import Schedule
from runhook.store import events, git, identities, jobs, locks, queue, runs, sessions
from runhook.store.database import Database, Transaction
from runhook.store.schema import REVISION, prepare, revision_of
from runhook.store.tables import metadata, new_id
from tests.conformance.conftest import NOON, new_run
from tests.conftest import ROOT

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)


async def test_the_migrations_make_exactly_the_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


async def test_preparing_at_once_and_again_does_it_once(database_url: str) -> None:
    async with Database(database_url) as first, Database(database_url) as second:
        await asyncio.gather(
            asyncio.to_thread(prepare, first.engine), asyncio.to_thread(prepare, second.engine)
        )
        prepare(first.engine)
        with first.engine.connect() as connection:
            assert revision_of(connection) == REVISION


async def test_a_newer_database_is_refused(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match="newer Runhook"):
        prepare(database.engine)


async def test_a_run_comes_back_as_it_was_written(database: Database, job: Job) -> None:
    parameters = {"text": "007 ü 🙂", "list": [1, 2.5, None, True], "empty": {}}
    run = await database.write(
        lambda tx: runs.insert_run(tx, new_run(job, parameters=parameters, scheduled_for=NOON))
    )
    found = await database.read(lambda tx: runs.get_run(tx, run.id))
    assert found == run
    assert (run.parameters, run.scheduled_for, run.created_at) == (parameters, NOON, NOON)


async def test_only_allowed_transitions_succeed_and_terminal_states_never_change(
    database: Database, job: Job
) -> None:
    chance = random.Random(7)
    for _ in range(20):
        run = await database.write(lambda tx: runs.insert_run(tx, new_run(job)))
        state = run.state
        for _ in range(8):
            to = chance.choice([each for each in RunState if each != RunState.SKIPPED])
            moved = await database.write(
                lambda tx, run=run, to=to: runs.transition(tx, run.id, to=to, now=NOON)
            )
            assert moved == (to in TRANSITIONS.get(state, ()))
            state = to if moved else state
            now = await database.read(lambda tx, run=run: runs.get_run(tx, run.id))
            assert now is not None
            assert now.state == state
            assert (now.finished_at is not None) == (state in TERMINAL)


async def test_no_run_is_claimed_twice(database: Database, job: Job) -> None:
    for _ in range(30):
        await database.write(lambda tx: runs.insert_run(tx, new_run(job)))

    async def claim() -> list[str]:
        claimed = await database.write(
            lambda tx: queue.claim(tx, room=4, pools={}, executor="test", now=NOON)
        )
        return [run.id for run, _ in claimed]

    batches = await asyncio.gather(*(claim() for _ in range(12)))
    claimed = [run_id for batch in batches for run_id in batch]
    assert len(claimed) == len(set(claimed)) == 30


async def test_claims_follow_the_order_of_the_starts(database: Database, job: Job) -> None:
    created = [
        await database.write(
            lambda tx, n=n: runs.insert_run(tx, new_run(job, created_at=NOON + n * SECOND))
        )
        for n in (3, 1, 2)  # the clock was set back: numbers say what came first
    ]
    claimed = await database.write(
        lambda tx: queue.claim(tx, room=2, pools={}, executor="x", now=NOON)
    )
    assert [run.id for run, _ in claimed] == [created[0].id, created[1].id]
    assert {attempt.number for _, attempt in claimed} == {1}


async def test_jobs_take_turns_so_that_a_long_queue_starves_nobody(database: Database) -> None:
    async def job(name: str, **rules: object) -> Job:
        spec = JobSpec.model_validate({"name": name, "command": "true", **rules})
        return await database.write(
            lambda tx: jobs.insert_job(tx, "main/admin", spec, user_id=None, now=NOON)
        )

    async def queue_run(job: Job, seconds: int, **more: object) -> None:
        new = new_run(job, created_at=NOON + seconds * SECOND, **more)
        await database.write(lambda tx: runs.insert_run(tx, new))

    long, short = await job("long"), await job("short")
    one, gpu = await job("one", max_running=1), await job("gpu", pool="gpu")
    for n in range(20):
        await queue_run(long, n)
    await queue_run(short, 100)
    for n in (101, 102):
        await queue_run(one, n)
        await queue_run(gpu, n + 10, pool="gpu")
    await queue_run(short, 103, priority=5)
    await queue_run(short, 104, not_before_at=NOON + 60 * SECOND)

    async def claim(room: int, now: datetime = NOON) -> list[str]:
        names = {each.id: each.name for each in (long, short, one, gpu)}
        claimed = await database.write(
            lambda tx: queue.claim(tx, room=room, pools={"gpu": 1}, executor="x", now=now)
        )
        return [names[run.job_id] for run, _ in claimed]

    assert await claim(1) == ["short"], "the highest priority leaves first"
    assert await claim(4) == ["long", "one", "gpu", "long"], "the one with the fewest alive"
    assert await claim(9) == ["short", *["long"] * 8], "limits and pools hold, one is kept back"
    later = NOON + 60 * SECOND
    assert await claim(1, later) == ["short"]


async def test_runs_of_a_job_are_numbered_without_gaps(database: Database, job: Job) -> None:
    made = await asyncio.gather(
        *(database.write(lambda tx: runs.insert_run(tx, new_run(job))) for _ in range(20))
    )
    assert sorted(run.number for run in made) == list(range(1, 21))


@pytest.mark.parametrize(
    "same",
    [{"idempotency_key": "k"}, {"schedule_id": "s" * 32, "scheduled_for": NOON}],
    ids=["idempotency key", "schedule and fire time"],
)
async def test_what_must_happen_once_is_unique_in_the_database(
    database: Database, job: Job, same: dict[str, object]
) -> None:
    await database.write(lambda tx: runs.insert_run(tx, new_run(job, **same)))
    with pytest.raises(IntegrityError):
        await database.write(lambda tx: runs.insert_run(tx, new_run(job, **same)))
    await database.write(lambda tx: runs.insert_run(tx, new_run(job)))


async def test_paging_gives_each_run_once_also_at_equal_instants(
    database: Database, job: Job
) -> None:
    for n in range(11):
        at = NOON + (n // 4) * SECOND
        await database.write(lambda tx, at=at: runs.insert_run(tx, new_run(job, created_at=at)))
    everything = runs.RunFilter(job_id=job.id)
    whole = await database.read(lambda tx: runs.list_runs(tx, everything, size=100))
    pages, edge = [], None
    while page := await database.read(
        lambda tx, edge=edge: runs.list_runs(tx, everything, size=3, after=edge)
    ):
        pages += page
        edge = (page[-1].created_at, page[-1].id)
    assert pages == whole
    last = (whole[-1].created_at, whole[-1].id)
    back = await database.read(lambda tx: runs.list_runs(tx, everything, size=3, before=last))
    assert back == whole[-4:-1]


async def test_filters_by_state_trigger_and_owner(database: Database, job: Job) -> None:
    run = await database.write(lambda tx: runs.insert_run(tx, new_run(job)))

    async def count(**wanted: object) -> int:
        wish = runs.RunFilter(**wanted)  # type: ignore[arg-type]
        return len(await database.read(lambda tx: runs.list_runs(tx, wish, size=10)))

    assert await count(states=[RunState.QUEUED], owners=["main/admin"]) == 1
    assert await count(states=[RunState.FAILED]) == 0
    assert await count(owners=["main/other"]) == 0
    assert await count(triggers=[run.trigger]) == 1


async def test_text_that_no_database_takes_is_cleaned(database: Database, job: Job) -> None:
    run = await database.write(lambda tx: runs.insert_run(tx, new_run(job)))
    nasty = "a\x00b \ud800 " + "x" * 10_000

    def work(tx: Transaction) -> None:
        runs.transition(tx, run.id, to=RunState.FAILED, now=NOON, reason=nasty)
        events.record(tx, Event(run.id, None, NOON, "notice", {"m\x00": [nasty, {"n": nasty}]}))

    await database.write(work)
    found = await database.read(lambda tx: runs.get_run(tx, run.id))
    assert found is not None
    assert found.reason is not None
    assert "\x00" not in found.reason
    assert len(found.reason) <= 2_000
    kept = await database.read(lambda tx: events.list_events(tx, run.id))
    assert kept[-1].kind == "notice"


async def test_activity_counts_what_lives_and_sees_the_queue(database: Database, job: Job) -> None:
    async def activity() -> runs.Activity:
        return (await database.read(lambda tx: runs.activity(tx, [job.id])))[job.id]

    assert not await activity()
    made = [await database.write(lambda tx: runs.insert_run(tx, new_run(job))) for _ in range(3)]
    await database.write(lambda tx: queue.claim(tx, room=2, pools={}, executor="x", now=NOON))
    await database.write(
        lambda tx: [runs.transition(tx, each.id, to=RunState.RUNNING, now=NOON) for each in made]
    )
    assert await activity() == runs.Activity(alive=2, running=2, queued=True)


async def test_a_write_that_fails_changes_nothing_and_disturbs_no_other(
    database: Database, job: Job
) -> None:
    def fail(tx: Transaction) -> None:
        runs.insert_run(tx, new_run(job))
        raise ValueError("mine alone")

    results = await asyncio.gather(
        *(database.write(lambda tx: runs.insert_run(tx, new_run(job))) for _ in range(5)),
        database.write(fail),
        *(database.write(lambda tx: runs.insert_run(tx, new_run(job))) for _ in range(5)),
        return_exceptions=True,
    )
    assert [type(each) for each in results].count(ValueError) == 1
    found = await database.read(
        lambda tx: runs.list_runs(tx, runs.RunFilter(job_id=job.id), size=50)
    )
    assert len(found) == 10


async def test_hints_are_given_after_the_commit_only(database_url: str) -> None:
    bus = Bus()
    async with Database(database_url, bus) as database:
        with bus.subscribe("topic") as hint:

            def fail(tx: Transaction) -> None:
                tx.publish("topic")
                raise ValueError

            with pytest.raises(ValueError):  # noqa: PT011  raised right here
                await database.write(fail)
            assert not await hint.wait(0)
            await database.write(lambda tx: tx.publish("topic"))
            assert await hint.wait(0)


async def test_a_cancelled_caller_does_not_take_an_accepted_write_back(
    database: Database, job: Job
) -> None:
    task = asyncio.create_task(database.write(lambda tx: runs.insert_run(tx, new_run(job))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.write(lambda tx: None)
    wish = runs.RunFilter(job_id=job.id)
    assert len(await database.read(lambda tx: runs.list_runs(tx, wish, size=5))) <= 1


async def test_definitions_keep_their_versions(database: Database, job: Job) -> None:
    spec = JobSpec(name="a-job", command="false", tags={"a": "b"})
    changed = await database.write(
        lambda tx: jobs.update_job(tx, job, spec, user_id=None, now=NOON + SECOND)
    )
    assert (changed.version, changed.spec) == (2, spec)
    listed = await database.read(lambda tx: jobs.list_versions(tx, job.id))
    assert [(each.number, each.spec.command) for each in listed] == [(2, "false"), (1, "true")]


async def test_a_schedule_that_stays_keeps_its_identity(database: Database, job: Job) -> None:
    hourly, daily = Schedule(cron="@hourly"), Schedule(cron="@daily")

    async def replace(*rules: Schedule) -> list[jobs.ArmedSchedule]:
        later = NOON + 90 * SECOND
        await database.write(lambda tx: jobs.replace_schedules(tx, job.id, rules, later))
        return await database.read(lambda tx: jobs.list_schedules(tx, job.id))

    (first,) = await replace(hourly)
    await database.write(lambda tx: jobs.pause_schedules(tx, job.id, True, NOON))
    second = await replace(daily, hourly)
    assert [each.rule.cron for each in second] == ["@daily", "@hourly"]
    assert (second[1].id, second[1].paused) == (first.id, True)
    assert not second[0].paused


async def test_due_schedules_are_found_in_order(database: Database, job: Job) -> None:
    rules = [Schedule(cron="@daily"), Schedule(cron="@hourly")]
    await database.write(lambda tx: jobs.replace_schedules(tx, job.id, rules, NOON))
    assert await database.read(lambda tx: jobs.due_schedules(tx, NOON, 10)) == []
    due = await database.read(lambda tx: jobs.due_schedules(tx, NOON + timedelta(days=1), 10))
    armed = {
        each.id: each.rule.cron
        for each in await database.read(lambda tx: jobs.list_schedules(tx, job.id))
    }
    assert [armed[schedule_id] for schedule_id in due] == ["@hourly", "@daily"]
    assert await database.read(jobs.next_due) == NOON + timedelta(hours=1)


async def test_a_deleted_job_frees_its_name_and_is_removed_with_its_rows(
    database: Database, job: Job
) -> None:
    run = await database.write(lambda tx: runs.insert_run(tx, new_run(job)))
    await database.write(lambda tx: jobs.mark_deleted(tx, job.id, NOON))
    assert await database.read(lambda tx: jobs.get_job(tx, job.id)) is None
    assert await database.read(lambda tx: jobs.any_job(tx, job.id)) is not None
    assert await database.read(lambda tx: jobs.find_job(tx, "main/admin", "a-job")) is None
    spec = JobSpec(name="a-job", command="true")
    await database.write(lambda tx: jobs.insert_job(tx, "main/admin", spec, user_id=None, now=NOON))
    await database.write(lambda tx: jobs.remove_job(tx, job.id))
    assert await database.read(lambda tx: runs.get_run(tx, run.id)) is None


async def test_credentials_open_while_they_are_good(database: Database) -> None:
    user = User(new_id(), "someone", "main/someone")
    await database.write(lambda tx: identities.insert_user(tx, user, "secret", NOON))

    def work(tx: Transaction) -> None:
        sessions.insert_session(tx, "session", user.id, NOON, NOON + SECOND)
        identities.insert_sign_in_link(tx, "link", user.id, NOON, NOON + SECOND)

    await database.write(work)
    assert await database.read(lambda tx: identities.find_user_by_token(tx, "secret")) == user
    assert await database.read(lambda tx: identities.find_user_by_token(tx, "other")) is None
    find = sessions.find_session
    assert await database.read(lambda tx: find(tx, "session", NOON)) == (user, NOON)
    assert await database.read(lambda tx: find(tx, "session", NOON + SECOND)) is None
    look, use = identities.find_sign_in_link, identities.use_sign_in_link
    assert await database.read(lambda tx: look(tx, "link", NOON + SECOND)) is None
    assert await database.read(lambda tx: look(tx, "link", NOON)) == (user, "sign-in")
    assert await database.write(lambda tx: use(tx, "link", NOON)) == (user, "sign-in")
    assert await database.read(lambda tx: look(tx, "link", NOON)) is None
    assert await database.write(lambda tx: use(tx, "link", NOON)) is None


async def test_git_access_is_kept(database: Database) -> None:
    info = GitCredentialInfo(
        new_id(), "main/admin", "deploy", "ssh_key", "git@h.example:", "", "ssh-ed25519 x", NOON
    )
    host = KnownHost(new_id(), "h.example", "ssh-ed25519 AAAA", "SHA256:x", NOON, None, None)
    other = KnownHost(new_id(), "h.example", "ssh-ed25519 BBBB", "SHA256:y", NOON, None, None)

    def work(tx: Transaction) -> None:
        git.insert_credential(tx, info, b"\x00sealed")
        git.insert_host(tx, host)
        git.insert_host(tx, other)
        git.confirm_host(tx, host.id, "u" * 32, NOON)

    await database.write(work)
    assert await database.read(lambda tx: git.list_credentials(tx, ["main/admin"])) == [info]
    assert await database.read(lambda tx: git.sealed_secret(tx, info.id)) == b"\x00sealed"
    listed = await database.read(git.list_hosts)
    assert {each.id: (each.confirmed_at, each.changed) for each in listed} == {
        host.id: (NOON, False),
        other.id: (None, True),
    }


async def test_a_credential_and_a_host_key_are_kept_once(database: Database) -> None:
    info = GitCredentialInfo(
        new_id(), "main/admin", "deploy", "token", "https://h.example/", "ada", None, NOON
    )
    host = KnownHost(new_id(), "h.example", "ssh-ed25519 AAAA", "SHA256:x", NOON, None, None)
    twin, same = replace(info, id=new_id()), replace(host, id=new_id())

    def work(tx: Transaction) -> list[bool]:
        return [
            git.insert_credential(tx, info, b"first"),
            git.insert_credential(tx, twin, b"second"),
            git.insert_host(tx, host),
            git.insert_host(tx, same),
        ]

    assert await database.write(work) == [True, False, True, False]
    assert await database.read(lambda tx: git.sealed_secret(tx, info.id)) == b"first"
    assert await database.read(lambda tx: git.get_credential(tx, twin.id)) is None
    assert await database.read(lambda tx: git.get_host(tx, host.id)) == host
    assert await database.read(lambda tx: git.get_host(tx, same.id)) is None


async def test_the_oldest_unconfirmed_host_keys_are_forgotten_first(database: Database) -> None:
    noted = [
        KnownHost(new_id(), f"h{n}", "ssh-rsa A", "SHA256:x", NOON + n * SECOND, None, None)
        for n in range(5)
    ]

    def work(tx: Transaction) -> None:
        for host in noted:
            git.insert_host(tx, host)
        git.confirm_host(tx, noted[0].id, "u" * 32, NOON)
        git.confirm_host(tx, noted[0].id, "v" * 32, NOON + SECOND)
        git.trim_unconfirmed_hosts(tx, 2)

    await database.write(work)
    kept = await database.read(git.list_hosts)
    assert [host.host for host in kept] == ["h0", "h3", "h4"]
    assert (kept[0].confirmed_at, kept[0].confirmed_by) == (NOON, "u" * 32)
    await database.write(lambda tx: git.delete_host(tx, noted[0].id))
    assert [host.host for host in await database.read(git.list_hosts)] == ["h3", "h4"]


async def test_a_lock_is_kept_once_under_its_hash(database: Database) -> None:
    first = await database.write(lambda tx: locks.keep_lock(tx, "six==1.17.0\n"))
    assert await database.write(lambda tx: locks.keep_lock(tx, "six==1.17.0\n")) == first
    assert await database.read(lambda tx: locks.get_lock(tx, first)) == "six==1.17.0\n"


async def test_an_answered_write_survives_the_end_of_the_process(tmp_path: Path) -> None:
    """kill -9 right after the answers: what was printed is there (SQLite)."""
    import signal
    import subprocess
    import sys

    child = subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.writer", str(tmp_path / "test.db")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    answered = [child.stdout.readline().strip() for _ in range(200)]
    child.send_signal(signal.SIGKILL)
    child.wait()
    answered += child.stdout.read().split("\n")[:-1]
    child.stdout.close()
    async with Database(f"sqlite:///{tmp_path}/test.db") as database:
        wish = runs.RunFilter()
        found = await database.read(lambda tx: runs.list_runs(tx, wish, size=100_000))
    assert {run_id for run_id in answered if len(run_id) == 32} <= {run.id for run in found}
