"""Writes runs for ever and prints the id of each as soon as it is answered."""

import asyncio
import sys
from pathlib import Path

from runhook.model.job import JobSpec
from runhook.store import jobs, runs
from runhook.store.database import Database, sqlite_url
from runhook.store.schema import prepare
from tests.conformance.conftest import NOON, new_run


async def main() -> None:
    async with Database(sqlite_url(Path(sys.argv[1]))) as database:
        prepare(database.engine)
        spec = JobSpec(name="a-job", command="true")
        job = await database.write(
            lambda tx: jobs.insert_job(tx, "main/admin", spec, user_id=None, now=NOON)
        )

        async def write() -> None:
            while True:
                run = await database.write(lambda tx: runs.insert_run(tx, new_run(job)))
                print(run.id, flush=True)

        await asyncio.gather(*(write() for _ in range(20)))


if __name__ == "__main__":
    asyncio.run(main())
