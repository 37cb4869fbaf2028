"""Removing what lies about on the disk: leftovers of attempts, and caches that nobody uses.

A round looks into every attempt's directory, a part of them in each tick, and then at the caches.
"""

import asyncio
import logging
from datetime import datetime
from pathlib import Path

from runhook.disk import DiskGuard
from runhook.runner.scratch import remove_tree
from runhook.services import caches, leftovers
from runhook.services.caches import NEARLY_FULL, Cache
from runhook.services.leftovers import SHARDS
from runhook.services.retention import Rules
from runhook.services.site import Site
from runhook.store.database import Database

logger = logging.getLogger("runhook.engine")
SHARDS_AT_ONCE = 16
ROUND_SECONDS = 3600.0
ROUND_SECONDS_WHEN_FULL = 60.0


class Sweeper:
    """Removes nothing that somebody uses; what cannot be removed now is tried in the next round."""

    def __init__(self, database: Database, site: Site, rules: Rules, disk: DiskGuard) -> None:
        self._database = database
        self._site = site
        self._rules = rules
        self._disk = disk
        self._next_shard = 0

    def wait(self) -> float:
        """Seconds from the end of one round to the next."""
        return ROUND_SECONDS_WHEN_FULL if self._disk.reason() else ROUND_SECONDS

    async def tick(self, now: datetime) -> bool:
        """A part of a round; True if the round goes on."""
        if self._next_shard < len(SHARDS):
            await self._sweep(now)
            return True
        self._next_shard = 0
        await self._free_caches(now)
        return False

    async def _sweep(self, now: datetime) -> None:
        root = self._site.attempts
        shards = SHARDS[self._next_shard : self._next_shard + SHARDS_AT_ONCE]
        self._next_shard += len(shards)
        found = await self._database.read(lambda tx: leftovers.find(tx, root, shards, now))
        for each in found:
            logger.info("removing %s: %s", each.name, each.reason)
            await asyncio.to_thread(remove_tree, each.path)

    async def _free_caches(self, now: datetime) -> None:
        used = await self._database.read(lambda tx: caches.in_use(tx, self._site))
        found = await asyncio.to_thread(caches.list_caches, Path(self._site.places.cache))
        full = self._disk.reason() is not None
        for cache, reason in caches.falling_out(found, used, self._rules.caches, now, full=full):
            if reason != NEARLY_FULL or self._disk.reason():
                await self._free(cache, reason)

    async def _free(self, cache: Cache, reason: str) -> None:
        if await asyncio.to_thread(caches.remove, cache):
            logger.info("removed %s: %s", cache.name, reason)
