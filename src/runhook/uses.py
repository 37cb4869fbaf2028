"""When and from where named tokens were last used: noted behind the requests, not in their way."""

import asyncio
import logging
import time
from datetime import datetime

from runhook.errors import RunhookError
from runhook.model.access import Caller
from runhook.store import tokens
from runhook.store.database import Database

logger = logging.getLogger("runhook")
MOST_REMEMBERED = 10_000
SECONDS = tokens.NOTED_EVERY.total_seconds()


class Uses:
    """Notes the uses of tokens, each at most once a minute. To be asked from the event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[str, float] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, caller: Caller, now: datetime) -> None:
        """Have it written, soon, that the caller's token was used, if it is a named one."""
        if caller.token_id is None or not self._is_due(caller.token_id):
            return
        writing = asyncio.create_task(self._write(caller.token_id, caller.address, now))
        self._writing.add(writing)  # the loop itself holds tasks only weakly
        writing.add_done_callback(self._writing.discard)

    def _is_due(self, token_id: str) -> bool:
        moment = time.monotonic()
        if moment - self._noted.get(token_id, -SECONDS) < SECONDS:
            return False
        if len(self._noted) >= MOST_REMEMBERED:
            recent = {k: at for k, at in self._noted.items() if moment - at < SECONDS}
            self._noted = recent if len(recent) < MOST_REMEMBERED else {}
        self._noted[token_id] = moment
        return True

    async def _write(self, token_id: str, address: str, now: datetime) -> None:
        try:
            await self._database.write(lambda tx: tokens.note_use(tx, token_id, address, now))
        except RunhookError as error:
            logger.warning("cannot note that a token was used: %s", error.message)
