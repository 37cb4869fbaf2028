"""Runs that come after others, and what they may do, on both databases."""

from typing import Any

import pytest

from runhook.keys import Keys
from runhook.model.access import Caller, User
from runhook.model.job import Job
from runhook.model.people import PersonChange
from runhook.model.run import Trigger
from runhook.ring import Ring
from runhook.services import jobs, people, run_secrets, run_tokens, runs
from runhook.services.runs import StartRequest
from runhook.store import attempts, identities
from runhook.store.database import Database
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio
KEYS = Keys(b"k" * 32, Ring(b"r" * 32))
ROOT = Caller("b" * 32, "root", "main/root", admin=True)
ADA = Caller("c" * 32, "ada", "main/ada", admin=True)


async def saved(database: Database, **more: Any) -> Job:
    spec = jobs.parse_spec({"name": "a-job", "command": "true", **more})
    job, _ = await database.write(lambda tx: jobs.apply(tx, ROOT, spec, NOON))
    return job


@pytest.mark.parametrize("secret_now", [True, False])
async def test_running_again_uncovers_no_value_that_was_secret(
    database: Database, secret_now: bool
) -> None:
    secret, plain = {"type": "str", "secret": True}, {"type": "str", "default": "none"}
    size = {"default": 1}
    job = await saved(database, parameters={"key": secret, "size": size})
    given = StartRequest(Trigger.API, {"key": "hunter-two", "size": 2})
    first = await database.write(lambda tx: runs.start(tx, ROOT, job.id, given, NOON, KEYS))
    key = secret if secret_now else plain
    await saved(database, parameters={"key": key, "size": size})
    again = await database.write(lambda tx: runs.again(tx, KEYS, ROOT, first.id, NOON))
    opened = await database.read(lambda tx: run_secrets.opened(tx, KEYS, again))
    assert opened == {"key": "hunter-two" if secret_now else "none", "size": 2}
    assert "hunter-two" not in f"{first.parameters} {again.parameters}"
    assert "hunter-two" not in str(again.shown_parameters)


@pytest.mark.parametrize("trigger", list(Trigger))
async def test_a_run_that_began_by_itself_does_not_depend_on_who_made_its_job(
    database: Database, trigger: Trigger
) -> None:
    user = User(ADA.user_id, ADA.name, ADA.owner)
    await database.write(lambda tx: identities.insert_user(tx, user, "x", NOON))
    job = await saved(database)
    run = await database.write(lambda tx: runs.start(tx, ADA, job.id, StartRequest(trigger), NOON))
    attempt = await database.write(lambda tx: attempts.insert_attempt(tx, run.id, "local", NOON))
    token = KEYS.run_token(attempt.id, job.token_rotation)

    async def acts() -> bool:
        found = await database.read(lambda tx: run_tokens.caller_of(tx, KEYS, token))
        return found is not None

    assert await acts()
    off = PersonChange(locked=True)
    by_itself = trigger in {Trigger.SCHEDULE, Trigger.WEBHOOK, Trigger.JOB}
    await database.write(lambda tx: people.change(tx, ROOT, "ada", off, NOON))
    assert await acts() == by_itself
    await database.write(lambda tx: people.delete(tx, ROOT, "ada", NOON))
    assert await acts() == by_itself
