"""Telling an open page that a log has grown. The page asks for the lines that it shows."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

from starlette.responses import Response, StreamingResponse

from runhook import logs
from runhook.bus import CREDENTIALS
from runhook.errors import Forbidden, NotFound
from runhook.model.run import TERMINAL, Attempt
from runhook.services import results
from runhook.services.results import Left
from runhook.web.ask import Ask
from runhook.web.log import number

SHORTEST_PAUSE = 0.25


async def log_live(ask: Ask) -> Response:
    """Events `log` with the length of the log, a few a second at most, then one `end`. Without an
    attempt the first is meant, which may not have begun."""
    await _left(ask)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(ask), media_type="text/event-stream", headers=headers)


async def _left(ask: Ask) -> Left:
    run_id, attempt = ask.path("run_id"), number(ask, "attempt")
    return await ask.read(lambda tx: results.left_by(tx, ask.caller, run_id, attempt))


async def _events(ask: Ask) -> AsyncGenerator[bytes, None]:
    """Ends early where the run is not to be seen any more: who asks again is told why."""
    told = -1
    with suppress(NotFound, Forbidden):
        while True:
            left = await _left(ask)
            size = _size(ask, left.attempt)
            ended = _ended(left)
            yield f"event: log\ndata: {size}\n\n".encode() if size != told else b": \n\n"
            if ended:
                break
            told = size
            await _news(ask, left, size)
            await asyncio.sleep(SHORTEST_PAUSE)
    yield b"event: end\ndata:\n\n"


def _size(ask: Ask, attempt: Attempt | None) -> int:
    return logs.size(_path(ask, attempt)) if attempt else 0


def _path(ask: Ask, attempt: Attempt) -> Path:
    return ask.server.site.directory(attempt.id) / "log"


def _ended(left: Left) -> bool:
    if left.attempt is None:
        return left.run.state in TERMINAL
    return left.attempt.finished_at is not None


async def _news(ask: Ask, left: Left, size: int) -> None:
    """Until the log is longer than `size`, the run changes, or some seconds are over."""
    topics = (f"run/{left.run.id}", CREDENTIALS)
    if left.attempt is None:
        with ask.server.bus.subscribe(*topics) as hint:
            if (await _left(ask)).attempt is None:
                await hint.wait(logs.HEARTBEAT_SECONDS)
        return

    async def ended() -> bool:
        return _ended(await _left(ask))

    follow = logs.follow(_path(ask, left.attempt), size, ask.server.bus, *topics, ended=ended)
    async with aclosing(follow) as blocks:
        looks = 0
        async for block in blocks:
            looks += 1
            if block.data or looks > 1:  # the first look finds nothing: it was just looked at
                return
