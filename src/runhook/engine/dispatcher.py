"""From the queue to an executor: claim queued runs within the limit and have them started."""

import asyncio
import logging
from datetime import datetime

from runhook.engine.loop import utc_now
from runhook.engine.plan import Plan, make_plan
from runhook.executors.base import Executor
from runhook.keys import Keys
from runhook.model.run import Attempt, Run, RunState
from runhook.services.site import Site
from runhook.store import attempts, runs
from runhook.store.database import Database, Transaction

logger = logging.getLogger("runhook.engine")


class Dispatcher:
    """`limit`: how many attempts may live at the same time on this server."""

    def __init__(
        self, database: Database, executor: Executor, keys: Keys, site: Site, limit: int
    ) -> None:
        self._database = database
        self._executor = executor
        self._keys = keys
        self._site = site
        self._limit = limit

    async def recover(self) -> int:
        """Hand out again what was claimed before a crash and has no handle; how many those were.

        The executor looks for the attempt by its id first, so what did start is only found again.
        """
        living = await self._database.read(attempts.unfinished_attempts)
        unhandled = [(run, attempt) for attempt, run in living if attempt.handle is None]
        await asyncio.gather(*(self._hand_out(run, attempt) for run, attempt in unhandled))
        return len(unhandled)

    async def tick(self, now: datetime) -> bool:
        """Start as many queued runs as there is room for."""
        claimed = await self._database.write(lambda tx: self._claim(tx, now))
        await asyncio.gather(*(self._hand_out(run, attempt) for run, attempt in claimed))
        return bool(claimed)

    def _claim(self, tx: Transaction, now: datetime) -> list[tuple[Run, Attempt]]:
        room = self._limit - attempts.count_unfinished_attempts(tx)
        if room <= 0:
            return []
        return attempts.claim(tx, limit=room, executor=self._executor.name, now=now)

    async def _hand_out(self, run: Run, attempt: Attempt) -> None:
        """Have the attempt started. What goes wrong concerns this attempt alone."""
        try:
            plan = await self._database.read(
                lambda tx: make_plan(tx, self._keys, self._site, run, attempt)
            )
            handle = await self._start(plan)
        except Exception as error:  # whatever it is, the run must not stay in `starting`
            logger.exception("cannot start attempt %s", attempt.id)
            await self._give_up(
                attempt, f"cannot start on the {attempt.executor} executor: {error}"
            )
            return
        try:
            await self._database.write(lambda tx: self._keep(tx, attempt, handle))
        except Exception:  # it runs all the same: sweeps will see its end, a restart its handle
            logger.exception("cannot keep the handle of attempt %s", attempt.id)

    def _keep(self, tx: Transaction, attempt: Attempt, handle: dict[str, object]) -> None:
        attempts.update_attempt(tx, attempt.id, handle=handle, isolation=self._executor.isolation)
        tx.publish("attempts")

    async def _start(self, plan: Plan) -> dict[str, object]:
        await asyncio.to_thread(plan.spec.save)
        return dict(await self._executor.start(plan.spec, plan.secrets))

    async def _give_up(self, attempt: Attempt, reason: str) -> None:
        now = utc_now()

        def fail(tx: Transaction) -> None:
            facts = {"state": RunState.FAILED, "reason": reason, "step": "spawn"}
            if attempts.update_attempt(tx, attempt.id, finished_at=now, **facts):
                runs.transition(
                    tx, attempt.run_id, to=RunState.FAILED, now=now, reason=reason, step="spawn"
                )

        await self._database.write(fail)
