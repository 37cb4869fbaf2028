"""In-process publish and subscribe: wake-up hints for the loops and the live pages.

A message is a hint that something changed, never the change itself: who hears it looks at the
database or the file. So a lost hint costs a little time, not the truth. Used from the event loop's
thread only.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

CREDENTIALS = "credentials"
"""Some credential ended: whoever streams looks again whether its own still counts."""


class Hint:
    """One subscriber's flag: set by a message, cleared by `wait`."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def give(self) -> None:
        """Wake the waiter; many hints before it wakes count as one."""
        self._event.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """True after a hint (also one given before the call), False after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def take(self) -> bool:
        """Was a hint given since the last look?"""
        given = self._event.is_set()
        self._event.clear()
        return given


class Bus:
    """Topics are plain strings: `runs`, `run/<id>`, `job/<id>`, `log/<attempt id>`, `credentials`,
    `stop`."""

    def __init__(self) -> None:
        self._hints: dict[str, set[Hint]] = defaultdict(set)

    def publish(self, *topics: str) -> None:
        """Give a hint to every subscriber of `topics`."""
        for topic in topics:
            for hint in self._hints.get(topic, ()):
                hint.give()

    @contextmanager
    def subscribe(self, *topics: str) -> Iterator[Hint]:
        """A hint that hears `topics` for as long as the block lasts."""
        hint = Hint()
        for topic in topics:
            self._hints[topic].add(hint)
        try:
            yield hint
        finally:
            for topic in topics:
                self._hints[topic].discard(hint)
                if not self._hints[topic]:
                    del self._hints[topic]
