"""Handlers of what happened to a run: its events and those of its cells, as a list or a stream.

Two sources tell, the database (of the run) and a file of each attempt (of its cells). An event's id
says how far both were told when it was: `<event>-<attempt>-<offset>`, so whoever comes back with it
misses nothing and hears nothing twice.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from starlette.responses import Response, StreamingResponse

from runhook import logs
from runhook.api.call import Call, Json, Query, Route
from runhook.api.shapes import event_json
from runhook.bus import CREDENTIALS, Hint
from runhook.errors import Forbidden, Invalid, NotFound
from runhook.model.run import TERMINAL, Attempt, Event, Run
from runhook.services import runs
from runhook.services.progress import Told, cells_file, told_from

MOST_AT_ONCE = 1000
CURSOR = re.compile(r"(\d{1,18})-(\d{1,9})-(\d{1,16})")
KINDS = {
    "plan": "cells_planned",
    "started": "cell_started",
    "output": "cell_output",
    "finished": "cell_finished",
}


@dataclass(frozen=True)
class Cursor:
    """How far was told: the number of the last event of the run, and the offset in the file of
    cells of attempt number `attempt`."""

    event: int = 0
    attempt: int = 1
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.event}-{self.attempt}-{self.offset}"


@dataclass(frozen=True)
class Look:
    """What is new after a cursor, each with its id, in the order in which to tell it. `more`: look
    again at once; `ended`: the run has, and with this everything is told."""

    events: list[dict[str, Any]]
    cursor: Cursor
    run: Run
    attempt: Attempt | None
    more: bool

    @property
    def ended(self) -> bool:
        return self.run.state in TERMINAL and not self.more


async def events(call: Call) -> Response:
    accepts = call.request.headers.get("accept", "")
    cursor = _cursor(call)
    look = await _look(call, cursor)
    if call.flag("follow") or "text/event-stream" in accepts:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        body = _while_visible(_stream(call, cursor))
        return StreamingResponse(body, media_type="text/event-stream", headers=headers)
    return Json({"events": look.events, "next": str(look.cursor), "more": look.more})


def _cursor(call: Call) -> Cursor:
    """Where to go on: as a browser says that comes back, or as `?after=` says."""
    last = CURSOR.fullmatch(call.request.headers.get("last-event-id", ""))
    asked = call.query("after")
    found = last or CURSOR.fullmatch(asked or str(Cursor()))
    if found is None:
        raise Invalid("cannot read after", details={"after": "write the id of an event"})
    event, attempt, offset = map(int, found.groups())
    return Cursor(event, max(1, attempt), offset)


async def _while_visible(events: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """End where the run is gone, or not for these eyes any more."""
    async with aclosing(events):
        with suppress(NotFound, Forbidden):
            async for event in events:
                yield event


async def _stream(call: Call, cursor: Cursor) -> AsyncGenerator[bytes, None]:
    """Server-sent events (WHATWG HTML, section 9.2): messages, then one `end`. Woken when the run
    changes and when its file of cells grows."""
    run_id = call.path("run_id")
    with call.server.bus.subscribe(f"run/{run_id}", CREDENTIALS) as hint, ExitStack() as watched:
        watching = _Watching(call, hint, watched)
        while True:
            look = await _look(call, cursor, watching)
            for each in look.events:
                yield f"id: {each['id']}\ndata: {_line(each)}\n\n".encode()
            cursor = look.cursor
            if look.ended:
                break
            if not look.more:
                yield b": \n\n"
                await hint.wait(logs.HEARTBEAT_SECONDS)
    told = {name: getattr(look.run, name) for name in ("state", "exit_code", "reason")}
    yield f"event: end\ndata: {_line(told)}\n\n".encode()


def _line(value: Any) -> str:
    """JSON of one line, whatever is in it."""
    return json.dumps(value)


class _Watching:
    """Wakes whoever streams when the file of cells of the latest attempt grows."""

    def __init__(self, call: Call, hint: Hint, stack: ExitStack) -> None:
        self._call, self._hint, self._stack = call, hint, stack
        self._attempt: str | None = None

    def look_at(self, attempt: Attempt) -> None:
        """To be called before its file is read."""
        if attempt.id != self._attempt:
            self._stack.close()
            self._attempt = attempt.id
            path = cells_file(self._call.server.site.directory(attempt.id))
            self._watch = self._stack.enter_context(logs.growth(path, self._hint))
        self._watch()


async def _look(call: Call, cursor: Cursor, watching: _Watching | None = None) -> Look:
    """What is new, after the caller was found to see the run. The database is read first: if it
    says that an attempt has ended, its file is whole."""
    run_id = call.path("run_id")
    told = await call.read(
        lambda tx: runs.told(tx, call.caller, run_id, cursor.event, MOST_AT_ONCE)
    )
    latest = told.attempts[-1] if told.attempts else None
    if watching and latest and latest.finished_at is None:
        watching.look_at(latest)
    found = {each.number: each for each in told.attempts}
    cells, cells_left = await asyncio.to_thread(_cells, call, found, cursor)
    numbers = {each.id: each.number for each in told.attempts}
    merged = _merged(told.events, cells, cursor, numbers)
    last = Cursor(
        told.events[-1][0] if told.events else cursor.event,
        *((cells[-1][0], cells[-1][1].end) if cells else (cursor.attempt, cursor.offset)),
    )
    more = cells_left or len(told.events) == MOST_AT_ONCE
    return Look(merged, last, told.run, latest, more)


def _cells(
    call: Call, attempts: dict[int, Attempt], cursor: Cursor
) -> tuple[list[tuple[int, Told]], bool]:
    """What cells have told since, with the number of their attempt, and whether there is more."""
    found: list[tuple[int, Told]] = []
    for number in sorted(each for each in attempts if each >= cursor.attempt):
        path = cells_file(call.server.site.directory(attempts[number].id))
        offset = cursor.offset if number == cursor.attempt else 0
        lines = islice(told_from(path, offset), MOST_AT_ONCE - len(found))
        found += [(number, told) for told in lines]
    return found, len(found) == MOST_AT_ONCE


def _merged(
    events: Sequence[tuple[int, Event]],
    cells: Sequence[tuple[int, Told]],
    cursor: Cursor,
    numbers: dict[str, int],
) -> list[dict[str, Any]]:
    """Both in the order of their instants, each source in its own order."""
    merged: list[dict[str, Any]] = []
    mine, theirs = list(reversed(events)), list(reversed(cells))
    while mine or theirs:
        if mine and (not theirs or mine[-1][1].at.timestamp() <= theirs[-1][1].at):
            number, event = mine.pop()
            cursor = replace(cursor, event=number)
            merged.append(event_json(event, str(cursor), numbers.get(event.attempt_id or "")))
            continue
        attempt, told = theirs.pop()
        cursor = replace(cursor, attempt=attempt, offset=told.end)
        if told.kind in KINDS:
            at = datetime.fromtimestamp(told.at, UTC)
            event = Event("", None, at, KINDS[told.kind], told.data)
            merged.append(event_json(event, str(cursor), attempt))
    return merged


QUERIES = (
    Query("after", "The id of an event: only what came after it."),
    Query("follow", "A stream that ends with the run.", "boolean"),
)
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/runs/{run_id}/events",
        "runs:read",
        events,
        "What happened to a run and its cells, as a list or a stream.",
        queries=QUERIES,
    ),
)
