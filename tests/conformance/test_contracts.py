"""What notebooks told, on SQLite and on PostgreSQL alike."""

from dataclasses import replace
from datetime import timedelta

import pytest

from runhook.model.job import Job
from runhook.model.known_contract import Told
from runhook.store import contracts, jobs
from runhook.store.database import Database
from tests.conformance.conftest import NOON

pytestmark = pytest.mark.anyio


async def test_what_was_told_last_is_kept_and_goes_with_the_job(
    database: Database, job: Job
) -> None:
    place = {"url": "https://h.example/x.git", "reference": None, "path": "n.ipynb"}
    told = Told(place, "c" * 40, "a = 'é\n'", None, NOON)
    assert await database.read(lambda tx: contracts.get_told(tx, job.id)) is None
    await database.write(lambda tx: contracts.keep_told(tx, job.id, told))
    assert await database.read(lambda tx: contracts.get_told(tx, job.id)) == told
    later = replace(
        told, commit=None, cell=None, problem="gone\x00", told_at=NOON + timedelta(days=1)
    )
    await database.write(lambda tx: contracts.keep_told(tx, job.id, later))
    kept = await database.read(lambda tx: contracts.get_told(tx, job.id))
    assert kept == replace(later, problem="gone\ufffd")
    await database.write(lambda tx: jobs.mark_deleted(tx, job.id, NOON))
    await database.write(lambda tx: jobs.remove_job(tx, job.id))
    assert await database.read(lambda tx: contracts.get_told(tx, job.id)) is None
