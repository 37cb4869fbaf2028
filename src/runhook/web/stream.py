"""Telling an open page that it should look again. What changed is asked for by the page itself."""

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from runhook.bus import CREDENTIALS, Bus
from runhook.services import jobs, runs
from runhook.services.access import require_scope
from runhook.web.ask import Ask
from runhook.web.run_changes import run_changes

HEARTBEAT_SECONDS = 15.0
SHORTEST_PAUSE = 0.25


async def live_jobs(ask: Ask) -> Response:
    require_scope(ask.caller, "jobs:read")
    return _stream(ask, "jobs", "runs")


async def live_job(ask: Ask) -> Response:
    job = await ask.read(lambda tx: jobs.get(tx, ask.caller, ask.path("job_id")))
    return _stream(ask, f"job/{job.id}")


async def live_run(ask: Ask) -> Response:
    run = await ask.read(lambda tx: runs.get(tx, ask.caller, ask.path("run_id")))
    return _answer(run_changes(ask, run.id))


def _stream(ask: Ask, *topics: str) -> Response:
    return _answer(_changes(ask.server.bus, topics))


def _answer(body: AsyncIterator[bytes]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(body, media_type="text/event-stream", headers=headers)


async def _changes(bus: Bus, topics: tuple[str, ...]) -> AsyncIterator[bytes]:
    """A `changed` event for each hint, a few a second at most. The first comes at once: something
    may have happened between the page and its stream."""
    with bus.subscribe(*topics, CREDENTIALS) as hint:
        yield b"event: changed\ndata:\n\n"
        while True:
            told = await hint.wait(HEARTBEAT_SECONDS)
            yield b"event: changed\ndata:\n\n" if told else b": \n\n"
            await asyncio.sleep(SHORTEST_PAUSE)
