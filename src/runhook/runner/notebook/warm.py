"""A warm kernel: forked by a process that had imported much of what the notebook needs."""

import ast
import asyncio
from contextlib import suppress
from typing import Literal

from jupyter_client.asynchronous.client import AsyncKernelClient

from runhook.runner.notebook.client import Message
from runhook.runner.notebook.kernel import Connection, Kernel, Launch, readable
from runhook.runner.process import Exit
from runhook.runner.tree import end_descendants, interrupt_descendants
from runhook.runner.warm.lease import Lease
from runhook.runner.warm.start import WarmStart

LESSON_SECONDS = 2.0
IMPORTED = (
    "(lambda s: ' '.join(n for n, m in list(s.modules.items()) if str(getattr(m, '__dict__', {})"
    ".get('__file__') or '').startswith((s.prefix, s.base_prefix))))(__import__('sys'))"
)
"""Names of the modules that come from the environment, in the order in which they were imported;
what stands in the workspace belongs to one run."""


async def start_warm(launch: Launch, warm: WarmStart) -> "WarmKernel | None":
    """The kernel that waits for this run; None if that is gone, or cannot be had: then the
    attempt's own box stands for one that is started cold."""
    assert warm.lease
    try:
        doors = launch.control.bounds.doors()
        warm.lease.begin(launch.variables, launch.directory, doors)
    except OSError as error:
        warm.decline(f"its warm kernel was lost: {error}")
        return None
    return WarmKernel(warm.lease)


class WarmKernel:
    """It ends when its run does, whoever has forked it."""

    interrupts: Literal["signal", "message"] = "signal"
    how = "warm"

    def __init__(self, lease: Lease) -> None:
        self.connection: Connection = lease.connection
        self._lease = lease
        self._ended: asyncio.Task[Exit] | None = None

    async def ended(self) -> Exit:
        if self._ended is None:
            self._ended = asyncio.create_task(self._wait())
        return await asyncio.shield(self._ended)

    async def _wait(self) -> Exit:
        await readable(self._lease.fileno())
        return self._lease.ended()

    def interrupt(self) -> None:
        interrupt_descendants()

    async def end(self, grace: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.ended()
        end_descendants(0)

    def complaint(self) -> str:
        return ""


async def imported(client: AsyncKernelClient, kernel: Kernel) -> list[str]:
    """What the kernel has imported; nothing if it does not say so within two seconds, or has ended
    itself."""
    asking = asyncio.create_task(_told(client))
    ended = asyncio.create_task(kernel.ended())
    try:
        await asyncio.wait({asking, ended}, return_when=asyncio.FIRST_COMPLETED)
        return asking.result() if asking.done() else []
    finally:
        asking.cancel()
        ended.cancel()


async def _told(client: AsyncKernelClient) -> list[str]:
    asked = client.execute(
        "", silent=True, store_history=False, user_expressions={"imported": IMPORTED}
    )
    with suppress(TimeoutError, KeyError, ValueError, SyntaxError):
        async with asyncio.timeout(LESSON_SECONDS):
            while True:
                reply: Message = await client.get_shell_msg(timeout=None)
                if reply["parent_header"].get("msg_id") == asked:
                    told = reply["content"]["user_expressions"]["imported"]["data"]["text/plain"]
                    return str(ast.literal_eval(told)).split()
    return []
