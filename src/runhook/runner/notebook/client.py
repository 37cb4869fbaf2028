"""Our end of a kernel's channels."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, cast

import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo

from runhook.runner.notebook.kernel import Kernel
from runhook.runner.report import StepFailed

READY_SECONDS = 60
ASK_AGAIN = 0.1
WAITING_MESSAGES = 100_000
"""Outputs that may wait for us before the kernel's end of the channel drops any (zmq_socket(3))."""
RECONNECT_MILLISECONDS = 10

Message = dict[str, Any]


async def connect(kernel: Kernel) -> tuple[AsyncKernelClient, Message]:
    """A client whose channels are open, and what the kernel tells about itself. StepFailed if it
    ends before, or does not answer within a minute."""
    context = zmq.asyncio.Context()
    context.rcvhwm = WAITING_MESSAGES
    context.reconnect_ivl = RECONNECT_MILLISECONDS
    context.linger = 100
    client = AsyncKernelClient(context=context)
    client.load_connection_info(cast(KernelConnectionInfo, kernel.connection))
    client.start_channels(stdin=False, hb=False)
    try:
        async with asyncio.timeout(READY_SECONDS):
            return client, await _unless_ended(kernel, _ready(client))
    except BaseException as error:
        disconnect(client)
        if isinstance(error, TimeoutError):
            reason = f"the kernel did not start: no answer within {READY_SECONDS} seconds"
            raise StepFailed(f"{reason} {kernel.complaint()}") from None
        raise


def disconnect(client: AsyncKernelClient) -> None:
    """Close the channels; what is still to be sent gets a moment."""
    client.stop_channels()
    client.context.destroy(linger=100)


async def _unless_ended(kernel: Kernel, work: Coroutine[Any, Any, Message]) -> Message:
    task = asyncio.create_task(work)
    ended = asyncio.create_task(kernel.ended())
    try:
        await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        code = ended.result()
        how = f"status {code.code}" if code.code is not None else f"signal {code.signal}"
        raise StepFailed(
            f"the kernel did not start: it ended with {how}. {kernel.complaint()}",
            code.code,
            code.signal,
        )
    finally:
        task.cancel()
        ended.cancel()


async def _ready(client: AsyncKernelClient) -> Message:
    """Until a request was answered on both channels: a kernel that answers may not know yet that
    somebody listens to what it publishes. Then it is asked again."""
    while True:
        request = client.kernel_info()
        reply: Message = {}
        while reply.get("parent_header", {}).get("msg_id") != request:
            reply = await client.get_shell_msg(timeout=None)
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_AGAIN):
                await _published(client, request)
                return reply


async def _published(client: AsyncKernelClient, request: str) -> None:
    while True:
        heard = await client.get_iopub_msg(timeout=None)
        if heard["parent_header"].get("msg_id") == request:
            return
