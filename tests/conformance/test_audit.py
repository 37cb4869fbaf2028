"""The audit log on both databases: what is written stays, and only what really happened is."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError

from runhook.engine.scheduler import fire
from runhook.errors import Forbidden, NotFound
from runhook.model.access import RUN_SCOPES, Caller, Role
from runhook.model.job import JobSpec
from runhook.model.run import Trigger
from runhook.services import audit, jobs, runs
from runhook.services.audit_query import wanted_of
from runhook.services.runs import StartRequest
from runhook.store.audit import Entry, Wanted, newest_first, newest_id
from runhook.store.database import Database, Transaction
from runhook.store.jobs import list_schedules
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio
ADA = Caller("a" * 32, "ada", "main/ada", via="user token", address="192.0.2.7")
ROOT = Caller("b" * 32, "root", "main/root", admin=True, via="session")


def record(tx: Transaction, number: int, owner: str = "main/ada", caller: Caller = ADA) -> None:
    at = NOON + timedelta(minutes=number)
    audit.record(
        tx,
        caller,
        f"job.{'created' if number % 2 else 'changed'}",
        at,
        kind="job",
        id=f"{number:032x}",
        name=f"Weekly_{number}%",
        owner=owner,
        before={"number": number},
    )


async def read(database: Database, caller: Caller = ROOT, **query: str) -> list[Entry]:
    wanted, owner = wanted_of({name.rstrip("_"): text for name, text in query.items()})
    return await database.read(lambda tx: audit.page(tx, caller, wanted, size=1000, owner=owner))


def numbers(entries: Sequence[Entry]) -> list[int]:
    return [int(entry.object_id, 16) for entry in entries]


async def test_of_long_values_the_log_keeps_the_beginning(database: Database) -> None:
    text = "é" * 10_000
    parameters = {"text": {"type": "str"}, "size": {"default": 1}}
    spec = {"name": "long", "command": "true", "parameters": parameters}
    job = await database.write(lambda tx: jobs.create(tx, ADA, jobs.parse_spec(spec), NOON))
    request = StartRequest(Trigger.API, {"text": text, "size": 2})
    run = await database.write(lambda tx: runs.start(tx, ADA, job.id, request, NOON))
    longer = jobs.parse_spec({**spec, "command": f"echo {text}"})
    await database.write(lambda tx: jobs.change(tx, ADA, job.id, longer, NOON))
    await database.write(lambda tx: jobs.delete(tx, ADA, job.id, NOON, allow_active=True))
    assert run.parameters["text"] == text
    entries = await read(database)
    (started,) = (each.after for each in entries if each.action == "run.started")
    assert started["parameters"]["size"] == 2
    assert started["parameters"]["text"].endswith("… (cut: 10002 characters in all)")
    (changed,) = (each for each in entries if each.action == "job.changed")
    assert changed.before == {"command": "true"}
    assert all(len(str(each.before) + str(each.after)) < 3000 for each in entries)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET user_name = 'somebody else'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE id = 1",
        "TRUNCATE audit",
    ],
)
async def test_the_database_refuses_to_change_or_remove_an_entry(
    database: Database, statement: str
) -> None:
    if statement.startswith("TRUNCATE") and database.engine.dialect.name == "sqlite":
        statement = "REPLACE INTO audit SELECT * FROM audit"
    await database.write(lambda tx: record(tx, 1))
    before = await read(database)
    with database.engine.connect() as connection:
        with pytest.raises(DatabaseError, match="append-only"):
            connection.exec_driver_sql(statement)
    assert await read(database) == before
    assert len(before) == 1


async def test_a_change_that_is_taken_back_leaves_no_entry(database: Database) -> None:
    spec = jobs.parse_spec({"name": "taken-back", "command": "true"})

    def fail(tx: Transaction) -> None:
        jobs.create(tx, ADA, spec, NOON)
        raise RuntimeError("after the change")

    with pytest.raises(RuntimeError):
        await database.write(fail)
    assert await read(database) == []
    job = await database.write(lambda tx: jobs.create(tx, ADA, spec, NOON))
    (entry,) = await read(database)
    assert (entry.action, entry.object_id, entry.owner) == ("job.created", job.id, "main/ada")
    assert (entry.user_name, entry.via, entry.address) == ("ada", "user token", "192.0.2.7")
    assert entry.after["command"] == "true"


async def test_a_change_that_changes_nothing_leaves_no_entry(database: Database) -> None:
    spec = jobs.parse_spec({"name": "same", "command": "true"})
    job = await database.write(lambda tx: jobs.create(tx, ADA, spec, NOON))
    await database.write(lambda tx: jobs.change(tx, ADA, job.id, spec, NOON))
    assert len(await read(database)) == 1


async def test_an_entry_tells_the_difference_and_of_variables_no_value(database: Database) -> None:
    def spec(**more: object) -> JobSpec:
        return jobs.parse_spec({"name": "told", "command": "true", **more})

    old = spec(environment_variables={"A": "hush-1", "B": "hush-2", "D": "hush-3"})
    new = spec(environment_variables={"A": "hush-4", "C": "hush-5", "D": "hush-3"}, priority=3)
    job = await database.write(lambda tx: jobs.create(tx, ADA, old, NOON))
    await database.write(lambda tx: jobs.change(tx, ADA, job.id, new, NOON))
    entry = (await read(database))[0]
    assert entry.before == {"environment_variables": {"A": "(a value)", "B": "(a value)"}}
    assert entry.after == {
        "environment_variables": {"A": "(another value)", "C": "(a value)"},
        "priority": 3,
    }
    await database.write(lambda tx: jobs.change(tx, ADA, job.id, spec(priority=3), NOON))
    entry = (await read(database))[0]
    assert set(entry.before["environment_variables"]) == {"A", "C", "D"}
    assert "hush" not in str(await read(database))


async def test_filters_find_what_they_say(database: Database) -> None:
    def fill(tx: Transaction) -> None:
        for number in range(1, 7):
            record(
                tx, number, "main/ada" if number < 5 else "main/bob", ADA if number < 6 else ROOT
            )

    await database.write(fill)
    for query, found in (
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"action": "job.c"}, [6, 5, 4, 3, 2, 1]),
        ({"action": "job.created"}, [5, 3, 1]),
        ({"action": "j_b"}, []),
        ({"kind": "run"}, []),
        ({"object": f"{4:032x}"}, [4]),
        ({"user": "root"}, [6]),
        ({"user": ADA.user_id}, [5, 4, 3, 2, 1]),
        ({"owner": "main/bob"}, [6, 5]),
        ({"from_": "2026-06-01T12:03:00Z", "until": "2026-06-01T14:05:00+02:00"}, [4, 3]),
        ({"from_": "2026-06-01T14:06:00 02:00"}, [6]),
        ({"until": "2026-06-01"}, []),
        ({"from_": "2026-06-01", "until": "2026-06-02", "text": "WEEKLY_3"}, [3]),
        ({"text": "_3%"}, [3]),
        ({"text": "bob"}, [6, 5]),
        ({"text": "' OR 1=1 --"}, []),
    ):
        assert numbers(await read(database, **query)) == found, query


async def test_pages_lead_through_all_entries_both_ways(database: Database) -> None:
    await database.write(lambda tx: [record(tx, number) for number in range(7)])

    async def page(**edge: int) -> list[Entry]:
        return await database.read(lambda tx: newest_first(tx, Wanted(), size=3, **edge))

    first = await page()
    second = await page(after=first[-1].id)
    third = await page(after=second[-1].id)
    assert [numbers(each) for each in (first, second, third)] == [[6, 5, 4], [3, 2, 1], [0]]
    assert await page(before=third[0].id) == second
    assert await page(before=second[0].id) == first
    assert await page(before=first[0].id) == []


async def test_an_export_goes_through_what_was_there_in_batches(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BATCH", 4)
    await database.write(lambda tx: [record(tx, number) for number in range(10)])
    readable, last = await database.read(lambda tx: audit.export(tx, ADA, Wanted()))
    await database.write(lambda tx: record(tx, 99))
    found, above, batches = [], 0, []
    while batch := await database.read(
        lambda tx: audit.next_batch(tx, readable, above, last)  # noqa: B023
    ):
        batches.append(len(batch))
        found += batch
        above = batch[-1].id
    assert (batches, numbers(found)) == ([4, 4, 2], list(range(10)))
    assert await database.read(newest_id) > last


async def test_who_may_read_what(database: Database) -> None:
    def fill(tx: Transaction) -> None:
        for number, owner in enumerate(("main/ada", "main/data", "main/bob", "")):
            record(tx, number, owner)

    await database.write(fill)
    roles = {"main/data": Role.ADMIN, "main/bob": Role.EDITOR}
    member = Caller("a" * 32, "ada", "main/ada", roles=roles)
    assert numbers(await read(database, member)) == [1, 0]
    assert numbers(await read(database, ADA)) == [0]
    assert numbers(await read(database, ROOT)) == [3, 2, 1, 0]
    assert numbers(await read(database, member, owner="main/data")) == [1]
    with pytest.raises(Forbidden, match="editor of main/bob"):
        await read(database, member, owner="main/bob")
    with pytest.raises(NotFound):
        await read(database, ADA, owner="main/bob")
    with pytest.raises(Forbidden, match="may not be used"):
        await read(database, Caller("a" * 32, "run 1", "main/ada", scopes=RUN_SCOPES))


async def test_a_fire_of_a_schedule_is_an_entry_of_nobodys(database: Database) -> None:
    spec = jobs.parse_spec({"name": "nightly", "command": "true", "schedule": "@daily"})
    job = await database.write(lambda tx: jobs.create(tx, ADA, spec, NOON))
    (schedule,) = await database.read(lambda tx: list_schedules(tx, job.id))
    midnight = NOON + timedelta(hours=12)
    assert await database.write(lambda tx: fire(tx, schedule.id, midnight))
    entry = (await read(database))[0]
    assert (entry.action, entry.user_id, entry.user_name) == ("run.started", None, "schedule")
    assert (entry.via, entry.owner, entry.at) == ("schedule", "main/ada", midnight)
    assert entry.after == {
        "trigger": "schedule",
        "schedule": schedule.id,
        "scheduled_for": midnight.isoformat(),
    }


async def test_a_start_is_one_insert_into_the_log(database: Database) -> None:
    spec = jobs.parse_spec({"name": "quick", "command": "true"})
    job = await database.write(lambda tx: jobs.create(tx, ADA, spec, NOON))
    said: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: said.append(str(args[2])))
    request = runs.StartRequest(Trigger.API)
    await database.write(lambda tx: runs.start(tx, ADA, job.id, request, NOON))
    assert len([each for each in said if "audit" in each]) == 1
    assert len([each for each in said if each.startswith("SELECT jobs.id")]) <= 2
