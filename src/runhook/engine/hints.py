"""Hearing from runners: a datagram with an attempt's id says that there is news of it."""

import asyncio
import os
import re
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress

ATTEMPT_ID = re.compile(rb"^[0-9a-f]{32}$")


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def datagram_received(self, data: bytes, addr: object) -> None:
        if ATTEMPT_ID.match(data):
            self._tell(data.decode())


async def listen(path: str, tell: Callable[[str], None], stack: ExitStack) -> None:
    """Call `tell` with each attempt id that arrives at the socket `path`, until `stack` closes."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    receiver.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Protocol(tell), sock=receiver)
    stack.callback(transport.close)
