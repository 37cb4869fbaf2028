"""Handlers of /api/runs: looking, cancelling, and the log as bytes or as a stream of events."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.responses import Response, StreamingResponse

from runhook import logs
from runhook.api.call import Call, Json, Page
from runhook.api.shapes import instant, progress_json, run_json, run_view_json
from runhook.bus import CREDENTIALS
from runhook.errors import Forbidden, Invalid, NotFound
from runhook.model.run import TERMINAL, Attempt, Run, RunState, Trigger
from runhook.runner import held as kernels
from runhook.services import held, runs
from runhook.store.database import Transaction

LARGEST_OFFSET = 2**53
MOST_ATTEMPTS = 10_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def list_runs(call: Call) -> Response:
    return await _list(call, None)


async def list_runs_of_job(call: Call) -> Response:
    return await _list(call, call.path("job_id"))


async def _list(call: Call, job_id: str | None) -> Response:
    page = Page.of(call)
    states = [RunState(word) for word in _words(call, "state", list(RunState))]
    triggers = [Trigger(word) for word in _words(call, "trigger", list(Trigger))]

    def work(tx: Transaction) -> list[Run]:
        return runs.list_page(
            tx,
            call.caller,
            size=page.size + 1,
            job_id=job_id,
            states=states or None,
            triggers=triggers or None,
            after=_edge(page.after),
            before=_edge(page.before),
        )

    answer = page.answer("runs", await call.read(work), _key)
    return Json({**answer, "runs": [run_json(call.server, run) for run in answer["runs"]]})


def _words(call: Call, name: str, known: list[Any]) -> list[str]:
    """`state=failed,lost`: words of an enumeration."""
    words = (call.query(name) or "").split(",")
    for word in words:
        if word and word not in known:
            raise Invalid(f"cannot read {name}", details={name: f"known are {', '.join(known)}"})
    return [word for word in words if word]


def _key(run: Run) -> list[Any]:
    return [(run.created_at - EPOCH) // timedelta(microseconds=1), run.id]


def _edge(key: list[Any] | None) -> tuple[datetime, str] | None:
    if key is None:
        return None
    if not isinstance(key[0], int) or not 0 <= key[0] < 2**53:
        raise Invalid("cannot read the key of this page")
    return EPOCH + timedelta(microseconds=key[0]), key[1]


async def get(call: Call) -> Response:
    return await _told(call, await _view(call))


async def _told(call: Call, view: runs.RunView) -> Response:
    """A run as it is now, with what is known only while it works or is held."""
    progress = (await call.progress([view.run])).get(view.run.id)
    until = await asyncio.to_thread(held.held_until, view, call.server.site)
    more = {
        "progress": progress_json(progress) if progress else None,
        "held_until": instant(until),
    }
    return Json({**run_view_json(call.server, view, call.now), **more})


async def _view(call: Call) -> runs.RunView:
    run_id, capacity, now = call.path("run_id"), call.server.site.capacity, call.now
    return await call.read(lambda tx: runs.view(tx, call.caller, run_id, capacity, now))


async def cancel(call: Call) -> Response:
    def work(tx: Transaction) -> runs.RunView:
        run = runs.cancel(tx, call.caller, call.path("run_id"), call.now)
        return runs.view_of(tx, run, call.server.site.capacity, call.now)

    return await _told(call, await call.write(work))


async def release(call: Call) -> Response:
    """Let the kernel of a failed run go, if it is held."""
    run_id, site = call.path("run_id"), call.server.site
    directory = await call.write(lambda tx: held.release(tx, call.caller, site, run_id, call.now))
    if directory:
        await asyncio.to_thread(kernels.release, directory)
    return await _told(call, await _view(call))


async def lock(call: Call) -> Response:
    """The packages the run had, as a requirements file."""
    text = await call.read(lambda tx: runs.lock_of(tx, call.caller, call.path("run_id")))
    return Response(text, media_type="text/plain; charset=utf-8")


async def log(call: Call) -> Response:
    view = await _view(call)
    accepts = call.request.headers.get("accept", "")
    if call.flag("follow") or "text/event-stream" in accepts:
        return _event_stream(call, view)
    attempt = _attempt(call, view)
    offset = call.number("offset", 0, LARGEST_OFFSET)
    path = _log_path(call, attempt)
    length = logs.size(path) if path else 0
    headers = {"X-Log-Size": str(length), "Cache-Control": "no-store"}
    body = logs.stream(path, offset) if path else _nothing()
    return StreamingResponse(body, media_type="text/plain; charset=utf-8", headers=headers)


def _event_stream(call: Call, view: runs.RunView) -> Response:
    offset = call.number("offset", 0, LARGEST_OFFSET)
    last = call.request.headers.get("last-event-id", "")
    if last.isascii() and last.isdigit() and len(last) < 18:
        offset = int(last)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    wanted = max(1, call.number("attempt", 0, MOST_ATTEMPTS))
    body = _while_visible(_events(call, view, wanted, offset))
    return StreamingResponse(body, media_type="text/event-stream", headers=headers)


async def _while_visible(events: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """End where the run is gone, or not for these eyes any more: whoever asks again is told why."""
    async with aclosing(events):
        with suppress(NotFound, Forbidden):
            async for event in events:
                yield event


async def _events(
    call: Call, view: runs.RunView, wanted: int, offset: int
) -> AsyncGenerator[bytes, None]:
    """Server-sent events (WHATWG HTML, section 9.2): `log` with a JSON text, then one `end`.

    The id is the offset after the text, so a browser that comes back goes on where it was. An
    attempt that has not begun yet has no log: the stream waits for it.
    """
    run_id, bus = view.run.id, call.server.bus
    with bus.subscribe(f"run/{run_id}", CREDENTIALS) as hint:
        view = await _view(call)  # what changed before we listened is not told
        while len(view.attempts) < wanted and view.run.state not in TERMINAL:
            await hint.wait(logs.HEARTBEAT_SECONDS)
            yield b": waiting\n\n"
            view = await _view(call)
    attempt = _attempt(call, view) if len(view.attempts) >= wanted else None
    path = _log_path(call, attempt)
    if attempt and path:
        topics = (f"log/{attempt.id}", f"run/{run_id}", CREDENTIALS)
        follow = logs.follow(path, offset, bus, *topics, ended=lambda: _ended(call, attempt))
        async with aclosing(follow) as blocks:
            async for block in blocks:
                text = json.dumps(block.data.decode("utf-8", "replace"))
                yield (
                    f"event: log\nid: {block.end}\ndata: {text}\n\n".encode()
                    if block.data
                    else b": \n\n"
                )
    run = await call.read(lambda tx: runs.get(tx, call.caller, run_id))
    outcome = {"state": run.state, "exit_code": run.exit_code, "reason": run.reason}
    yield f"event: end\ndata: {json.dumps(outcome)}\n\n".encode()


async def _ended(call: Call, attempt: Attempt) -> bool:
    """Has it ended? NotFound or Forbidden if the run is not to be seen any more."""

    def work(tx: Transaction) -> bool:
        runs.get(tx, call.caller, attempt.run_id)
        return runs.attempt_has_ended(tx, attempt.id)

    return await call.read(work)


def _attempt(call: Call, view: runs.RunView) -> Attempt | None:
    """The attempt that `?attempt=` names, else the latest; None if there is none yet."""
    number = call.number("attempt", 0, MOST_ATTEMPTS)
    if not number:
        return view.attempt
    for attempt in view.attempts:
        if attempt.number == number:
            return attempt
    raise NotFound(f"run {view.run.id} has no attempt {number}")


def _log_path(call: Call, attempt: Attempt | None) -> Path | None:
    return call.server.site.directory(attempt.id) / "log" if attempt else None


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
