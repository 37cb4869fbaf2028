"""Hours that runs took, and repositories of jobs, on both databases."""

from datetime import datetime, timedelta

import pytest

from runhook.keys import Keys
from runhook.model.access import Caller, User
from runhook.model.run import RunState, Trigger
from runhook.ring import Ring
from runhook.services import git_access, jobs, private_keys, repositories, runs
from runhook.services.runs import StartRequest
from runhook.store import identities, usage
from runhook.store import runs as rows
from runhook.store.database import Database, Transaction
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio
KEYS = Keys(b"k" * 32, Ring(b"r" * 32))
ROOT = Caller("b" * 32, "root", "main/root", admin=True)
EVE = Caller("e" * 32, "eve", "main/eve")
DAY = timedelta(days=1)
SSH = "git@example.org:acme/tools.git"


def ran(tx: Transaction, job_id: str, at: datetime, seconds: float) -> None:
    """A run that began then and took so long."""
    run = runs.start(tx, ROOT, job_id, StartRequest(Trigger.API), at)
    end = at + timedelta(seconds=seconds)
    assert rows.transition(tx, run.id, to=RunState.STARTING, now=at)
    assert rows.transition(tx, run.id, to=RunState.RUNNING, now=at, started_at=at)
    assert rows.transition(tx, run.id, to=RunState.SUCCEEDED, now=end)


async def test_hours_are_counted_by_day_owner_and_size(database: Database) -> None:
    def work(tx: Transaction) -> None:
        for name, size in (("small", "small"), ("none", None)):
            values = {"name": name, "command": "true"}
            spec = jobs.parse_spec(values | ({"instance_type": size} if size else {}))
            job = jobs.create(tx, ROOT, spec, NOON)
            ran(tx, job.id, NOON, 1.5)
            ran(tx, job.id, NOON + timedelta(hours=1), 2)
            ran(tx, job.id, NOON + DAY, 4)
        runs.start(tx, ROOT, job.id, StartRequest(Trigger.API), NOON)

    await database.write(work)
    found = await database.read(lambda tx: usage.spent(tx, NOON, NOON + 2 * DAY, ["main/root"]))
    assert [(each.day, each.instance_type, each.seconds) for each in found] == [
        (NOON.date(), "", 3.5),
        (NOON.date(), "small", 3.5),
        ((NOON + DAY).date(), "", 4),
        ((NOON + DAY).date(), "small", 4),
    ]
    assert await database.read(lambda tx: usage.spent(tx, NOON, NOON + DAY, ["main/eve"])) == []
    later = await database.read(lambda tx: usage.spent(tx, NOON + DAY, NOON + 2 * DAY, None))
    assert {each.seconds for each in later} == {4}


async def test_a_repository_is_known_by_jobs_and_by_being_added(database: Database) -> None:
    def work(tx: Transaction) -> str:
        user = User(ROOT.user_id, ROOT.name, ROOT.owner)
        identities.insert_user(tx, user, "x", NOON)
        values = {"name": "a", "command": "true", "git_repositories": [{"url": SSH}]}
        jobs.create(tx, ROOT, jobs.parse_spec(values), NOON)
        jobs.create(tx, ROOT, jobs.parse_spec({"name": "b", "command": "true"}), NOON)
        empty = {"name": "c", "command": "true", "git_repositories": None}
        jobs.create(tx, ROOT, jobs.parse_spec(empty), NOON)
        pair = private_keys.pair_of(None, "key")
        key = private_keys.add(tx, KEYS, ROOT, ROOT.owner, "key", pair, NOON)
        (known,) = repositories.list_all(tx, ROOT)
        assert (known.url, known.added, known.opener) == (SSH, None, None)
        named = repositories.name_key(tx, ROOT, known.id, key.id, NOON)
        assert named.opener == key
        assert repositories.list_all(tx, EVE) == []
        return key.id

    key_id = await database.write(work)
    opened = await database.read(
        lambda tx: git_access.credentials_for(tx, KEYS, "main/root", [SSH])
    )
    assert opened[SSH][0] == key_id
    await database.write(lambda tx: private_keys.delete(tx, ROOT, key_id, NOON))
    (known,) = await database.read(lambda tx: repositories.list_all(tx, ROOT))
    assert known.added
    assert (known.added.credential_id, known.opener) == (None, None)
