"""What a loop is: tick until there is nothing to do, then wait for a hint or the interval."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from runhook.bus import Hint
from runhook.errors import Unavailable

logger = logging.getLogger("runhook.engine")

PAUSE = 1.0
"""Seconds after a tick that failed."""

Tick = Callable[[datetime], Awaitable[bool]]
"""True: something was done, call again; False: nothing to do before the next hint."""


def utc_now() -> datetime:
    """The present instant. Services and ticks get it as an argument."""
    return datetime.now(UTC)


async def run_loop(
    name: str,
    tick: Tick,
    hint: Hint,
    wait: Callable[[], float],
    clock: Callable[[], datetime] = utc_now,
) -> None:
    """Run for ever. `wait()` is how many seconds a missed hint may delay the next tick. A tick that
    fails is logged and tried again soon: one bad moment never ends a loop."""
    while True:
        try:
            if not await tick(clock()):
                await hint.wait(wait())
        except Unavailable as error:
            logger.warning("the %s will try again: %s", name, error.message)
            await asyncio.sleep(PAUSE)
        except Exception:
            logger.exception("the %s failed and will try again", name)
            await asyncio.sleep(PAUSE)
