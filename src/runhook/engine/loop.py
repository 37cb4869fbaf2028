"""What a loop is: tick until there is nothing to do, then wait for a hint or the interval."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from runhook.bus import Hint

logger = logging.getLogger("runhook.engine")

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
    fails is logged and tried again after the wait: one bad moment never ends a loop."""
    while True:
        try:
            busy = await tick(clock())
        except Exception:
            logger.exception("the %s failed and will try again", name)
            busy = False
        if not busy:
            await hint.wait(wait())
