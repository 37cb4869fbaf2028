"""Secret parameters of runs are sealed, bound to run and name, and follow the ring, on SQLite and
on PostgreSQL alike."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from runhook.errors import RunhookError
from runhook.keys import Keys
from runhook.model.access import Caller
from runhook.model.parameters import HIDDEN
from runhook.model.run import Run, Trigger
from runhook.ring import Ring
from runhook.services import jobs, run_secrets, runs
from runhook.services.runs import StartRequest
from runhook.store import run_secrets as rows
from runhook.store.database import Database
from runhook.store.sealed import key_ids
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio
RING = Ring(b"r" * 32)
KEYS = Keys(b"k" * 32, RING)
ROOT = Caller("0" * 32, "root", "main/root", admin=True)
SECRET = {"type": "str", "secret": True}


async def started(database: Database, keys: Keys | None = KEYS, **values: Any) -> Run:
    spec = jobs.parse_spec(
        {"name": "sealed", "command": "true", "parameters": dict.fromkeys(values, SECRET)}
    )
    job, _ = await database.write(lambda tx: jobs.apply(tx, ROOT, spec, NOON))
    request = StartRequest(Trigger.API, values)
    return await database.write(lambda tx: runs.start(tx, ROOT, job.id, request, NOON, keys))


async def test_no_row_of_the_database_holds_the_value(database: Database) -> None:
    run = await started(database, key="hunter-two", empty="")
    assert run.parameters == {"key": HIDDEN, "empty": ""}
    opened = await database.read(lambda tx: run_secrets.opened(tx, KEYS, run))
    assert opened == {"key": "hunter-two", "empty": ""}
    with database.engine.connect() as connection:
        for table in ("runs", "events", "audit", "run_secrets"):
            found = str(connection.execute(text(f"SELECT * FROM {table}")).all())
            assert "hunter-two" not in found, table


async def test_a_value_is_bound_to_its_run_and_its_name(database: Database) -> None:
    one, two = await started(database, a="first", b="second"), await started(database, a="x", b="y")
    sealed = await database.read(lambda tx: rows.sealed_of(tx, one.id))
    for run, name in ((one, "b"), (two, "a")):
        await database.write(
            lambda tx, r=run, n=name: rows.replace_sealed(tx, r.id, n, sealed["a"])
        )
        with pytest.raises(RunhookError, match="cannot decrypt"):
            await database.read(lambda tx, r=run: run_secrets.opened(tx, KEYS, r))


async def test_a_new_key_of_the_ring_seals_them_anew(database: Database) -> None:
    run = await started(database, key="hunter-two")
    assert key_ids(database.engine) == {RING.ids[0]}
    newer = RING.with_new_key()
    assert await database.write(lambda tx: run_secrets.reseal(tx, newer)) == 1
    assert key_ids(database.engine) == {newer.ids[0]}
    keys = Keys(b"k" * 32, newer.first())
    opened = await database.read(lambda tx: run_secrets.opened(tx, keys, run))
    assert opened == {"key": "hunter-two"}


async def test_without_a_key_nothing_is_kept(database: Database) -> None:
    with pytest.raises(RunhookError, match="there is no key"):
        await started(database, None, key="hunter-two")


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.none() | st.text() | st.integers() | st.lists(st.text())
    ),
    st.sets(st.sampled_from("abc")),
)
@settings(suppress_health_check=list(HealthCheck))
def test_what_is_kept_in_the_row_holds_no_secret(values: dict[str, Any], secret: set[str]) -> None:
    row, sealed = run_secrets.parted(values, secret)
    assert row.keys() == values.keys()
    assert {**row, **sealed} == values
    assert all(row[name] == HIDDEN or not values[name] for name in secret & values.keys())
