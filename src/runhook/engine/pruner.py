"""Removing what is no longer wanted: deleted jobs, used-up credentials, and ended runs that fall
out of retention. What else lies about on the disk is the sweeper's."""

import asyncio
import logging
from collections.abc import Collection
from datetime import datetime

from runhook.disk import tree_size
from runhook.runner import held
from runhook.runner.scratch import SCRATCH, remove_tree
from runhook.services.retention import Rules, plan
from runhook.services.site import Site
from runhook.store import identities, jobs, retention, runs
from runhook.store.database import Database, Transaction

logger = logging.getLogger("runhook.engine")
BATCH = 100
"""Runs in one tick: so many directories, and one short write transaction."""


class Pruner:
    """Files go first, rows after them: what is interrupted is done again."""

    def __init__(self, database: Database, site: Site, rules: Rules) -> None:
        self._database = database
        self._site = site
        self._rules = rules

    async def tick(self, now: datetime) -> bool:
        """Do a bounded part of what there is to do; True if there may be more."""
        await self._database.write(lambda tx: identities.delete_expired(tx, now))
        more = False
        for job_id in await self._database.read(jobs.deleted_jobs):
            more |= await self._remove_job(job_id)
        more |= await self._measure()
        return await self._prune(now) or more

    async def _remove_job(self, job_id: str) -> bool:
        """Some runs of a deleted job, pinned ones too, once all have ended; the job with the last
        of them."""

        def look(tx: Transaction) -> list[str] | None:
            if runs.active_runs(tx, job_id):
                return None
            return retention.runs_of_deleted_job(tx, job_id, BATCH)

        run_ids = await self._database.read(look)
        if run_ids is None:
            return False
        gone = await self._remove_files(run_ids)

        def remove(tx: Transaction) -> None:
            retention.delete_runs(tx, gone)
            if len(gone) == len(run_ids) < BATCH:
                jobs.remove_job(tx, job_id)

        await self._database.write(remove)
        return len(gone) == BATCH

    async def _measure(self) -> bool:
        """Look up what runs take that ended since."""

        def look(tx: Transaction) -> dict[str, list[str]]:
            return retention.attempts_of(tx, retention.unmeasured(tx, BATCH))

        attempts = await self._database.read(look)
        if not attempts:
            return False
        sizes = await asyncio.to_thread(self._sizes, attempts)
        await self._database.write(lambda tx: retention.note_sizes(tx, sizes))
        return len(attempts) == BATCH

    def _sizes(self, attempts: dict[str, list[str]]) -> dict[str, int]:
        return {
            run_id: sum(tree_size(self._site.directory(each), SCRATCH) for each in attempt_ids)
            for run_id, attempt_ids in attempts.items()
        }

    async def _prune(self, now: datetime) -> bool:
        """Remove the files that the plan names, then note it or remove the rows."""
        found = await self._database.read(lambda tx: plan(tx, self._rules, now, BATCH))
        pruned = await self._remove_files([run.id for run, _ in found.files])
        forgotten = await self._remove_files([run.id for run, _ in found.history])

        def note(tx: Transaction) -> None:
            retention.mark_pruned(tx, pruned, now)
            retention.delete_runs(tx, forgotten)

        if not pruned and not forgotten:
            return False
        await self._database.write(note)
        return True

    async def _remove_files(self, run_ids: Collection[str]) -> list[str]:
        """Remove the directories of the runs' attempts; the runs of which nothing is left."""
        attempts = await self._database.read(lambda tx: retention.attempts_of(tx, run_ids))

        def remove() -> list[str]:
            return [run_id for run_id, each in attempts.items() if self._removed(each)]

        gone = await asyncio.to_thread(remove)
        if len(gone) < len(run_ids):
            first = next(run_id for run_id in run_ids if run_id not in gone)
            logger.warning("cannot remove all files of run %s; trying again later", first)
        return gone

    def _removed(self, attempt_ids: list[str]) -> bool:
        directories = [self._site.directory(each) for each in attempt_ids]
        for directory in directories:
            held.release(directory)  # a kernel that is held there goes with its files
        return all(remove_tree(directory) for directory in directories)
