"""Connections that keep the server waiting, on real sockets, with limits of a moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from runhook import wire

LIMIT = 10
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(body)(scope, receive, send)


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """The port of a server that answers with what it is sent."""
    config = uvicorn.Config(echo, lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: wire.BoundedProtocol(config, state, {}), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def told(port: int, *pieces: bytes) -> bytes:
    """Everything that the server says until it hangs up; a piece is sent after each answer `hi`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(LIMIT):
        said = b""
        for number, piece in enumerate(pieces):
            if number:
                said += await reader.readuntil(b"hi")
            writer.write(piece)
            await writer.drain()
        said += await reader.read()
    await close(writer)
    return said


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"


async def test_a_request_that_does_not_arrive_is_told_so_and_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.1)
    async with serving() as port:
        for pieces in ((), (b"POST / HT",), (REQUEST,), (b"\r\n",)):
            assert (await told(port, *pieces)).startswith(b"HTTP/1.1 408 "), pieces
        answered = await told(port, REQUEST + b"\r\nhi", b"POST / HT")
        assert answered.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 408 " in answered


async def test_a_body_that_does_not_arrive_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.1)
    async with serving() as port:
        assert await told(port, REQUEST + b"\r\nh") == b""


async def test_a_head_without_an_end_is_refused() -> None:
    async with serving() as port:
        said = await told(port, REQUEST + b"X: " + b"y" * wire.LARGEST_HEAD + b"\r\n")
        assert said.startswith(b"HTTP/1.1 431 ")
        long = b"X: " + b"y" * (wire.LARGEST_HEAD // 2) + b"\r\nConnection: close\r\n\r\nhi"
        assert (await told(port, REQUEST + long)).endswith(b"hi")


async def test_among_too_many_connections_the_one_that_waits_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "most_connections", lambda: 3)
    async with serving() as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        whole = REQUEST + b"Connection: close\r\n\r\nhi"
        assert (await told(port, whole)).endswith(b"hi")
        async with asyncio.timeout(LIMIT):
            assert await silent[0][0].read() == b""
        for reader, writer in silent[1:]:
            assert not reader.at_eof()
            await close(writer)
        await close(silent[0][1])
