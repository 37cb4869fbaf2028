"""Runs that repeat others, on SQLite and on PostgreSQL alike."""

from datetime import timedelta

import pytest

from runhook.errors import Conflict
from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.run import Run, RunState, Trigger
from runhook.ring import Ring
from runhook.services import jobs, replays, run_secrets, runs
from runhook.services.runs import StartRequest
from runhook.store import locks
from runhook.store import runs as rows
from runhook.store.database import Database, Transaction
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio
KEYS = Keys(b"k" * 32, Ring(b"r" * 32))
ROOT = Caller("0" * 32, "root", "main/root", admin=True)
LATER = NOON + timedelta(hours=1)
COMMIT = {"path": "code", "url": "https://h.example/code.git", "commit": "c" * 40}
SPEC = {
    "name": "repeated",
    "command": "true",
    "git_repositories": [{"url": COMMIT["url"]}],
    "parameters": {"n": 1, "key": {"type": "str", "secret": True, "default": ""}},
}


async def ran(database: Database, *, commits: bool = True, lock: bool = True) -> Run:
    """A run that has ended, with what its runner reported."""
    job, _ = await database.write(lambda tx: jobs.apply(tx, ROOT, jobs.parse_spec(SPEC), NOON))
    request = StartRequest(Trigger.SCHEDULE, {"n": 2, "key": "hunter-two"}, scheduled_for=NOON)

    def work(tx: Transaction) -> Run:
        run = runs.start(tx, ROOT, job.id, request, NOON, KEYS)
        if commits:
            rows.add_commit(tx, run.id, COMMIT)
        if lock:
            rows.update_run(tx, run.id, lock_id=locks.keep_lock(tx, "pandas==2.0\n"))
        rows.transition(tx, run.id, to=RunState.CANCELLED, now=NOON)
        return runs.get(tx, ROOT, run.id)

    return await database.write(work)


async def test_a_replay_has_everything_of_the_run_but_its_outcome(database: Database) -> None:
    before = await ran(database)
    changed = jobs.parse_spec({**SPEC, "command": "false"})
    await database.write(lambda tx: jobs.apply(tx, ROOT, changed, NOON))
    after = await database.write(lambda tx: replays.replay(tx, KEYS, ROOT, before.id, LATER))
    assert (after.state, after.trigger, after.replay_of) == (
        *(RunState.QUEUED, Trigger.REPLAY),
        before.id,
    )
    for name in ("commits", "lock_id", "job_version", "scheduled_for", "parameters"):
        assert getattr(after, name) == getattr(before, name), name
    assert (after.created_at, after.schedule_id, after.reason) == (LATER, None, None)
    opened = await database.read(lambda tx: run_secrets.opened(tx, KEYS, after))
    assert opened == {"n": 2, "key": "hunter-two"}


async def test_the_same_key_gives_the_same_replay(database: Database) -> None:
    before = await ran(database)

    def work(tx: Transaction) -> Run:
        return replays.replay(tx, KEYS, ROOT, before.id, LATER, "once")

    assert (await database.write(work)).id == (await database.write(work)).id
    other = await database.write(lambda tx: replays.replay(tx, KEYS, ROOT, before.id, LATER))
    assert other.id != (await database.write(work)).id


@pytest.mark.parametrize(
    ("known", "words"),
    [({"commits": False}, "commits are not known"), ({"lock": False}, "list of its packages")],
)
async def test_what_is_not_known_is_not_repeated(
    database: Database, known: dict[str, bool], words: str
) -> None:
    before = await ran(database, **known)
    with pytest.raises(Conflict, match=words):
        await database.write(lambda tx: replays.replay(tx, KEYS, ROOT, before.id, LATER))
