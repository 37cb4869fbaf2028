"""Removing what is no longer wanted: deleted jobs with their files, and used-up credentials."""

import asyncio
import shutil
from datetime import datetime

from runhook.services.site import Site
from runhook.store import attempts, identities, jobs, runs
from runhook.store.database import Database, Transaction


class Pruner:
    """Files go first, rows after them: what is interrupted is done again."""

    def __init__(self, database: Database, site: Site) -> None:
        self._database = database
        self._site = site

    async def tick(self, now: datetime) -> bool:
        """Remove every deleted job whose last run has ended."""
        await self._database.write(lambda tx: identities.delete_expired(tx, now))
        for job_id in await self._database.read(jobs.deleted_jobs):
            await self._remove(job_id)
        return False

    async def _remove(self, job_id: str) -> None:
        def look(tx: Transaction) -> list[str] | None:
            return None if runs.active_runs(tx, job_id) else attempts.attempt_ids(tx, job_id)

        known = await self._database.read(look)
        if known is None:
            return
        for attempt_id in known:
            directory = self._site.directory(attempt_id)
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        await self._database.write(lambda tx: jobs.remove_job(tx, job_id))
