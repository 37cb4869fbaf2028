"""A start that is waited for: `?wait=30`, or `Prefer: wait=30` (RFC 7240, section 4.3).

Whoever waits holds no connection to the database: the run's topic wakes it, and it looks again.
Leaving does not cancel anything.
"""

import asyncio
import re
from contextlib import suppress
from typing import Any

from runhook.api.call import Call
from runhook.api.shapes import run_view_json
from runhook.bus import Hint
from runhook.errors import NotFound
from runhook.model.run import TERMINAL
from runhook.services import results, runs

LONGEST_WAIT = 300
PREFERENCE = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?:[,;]|$)", re.IGNORECASE)


def wanted(call: Call) -> int | None:
    """How many seconds the caller would wait, None if not at all. The query counts before the
    header; it is Invalid if it says more than 300, while a preference is met as far as it can be.
    """
    if call.query("wait") is not None:
        return call.number("wait", 0, LONGEST_WAIT)
    match = PREFERENCE.search(",".join(call.request.headers.getlist("prefer")))
    return min(int(match[1]), LONGEST_WAIT) if match else None


async def ended(call: Call, run_id: str, seconds: int) -> runs.RunView:
    """The run when it has ended, else as it is after `seconds`, or when the caller has left."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    with call.server.bus.subscribe(f"run/{run_id}") as hint:
        leaving = asyncio.create_task(_left(call))
        leaving.add_done_callback(lambda _: hint.give())
        try:
            while True:
                view = await _view(call, run_id)
                over = view.run.state in TERMINAL or leaving.done()
                if over or not await _heard(hint, until - clock()):
                    return view if over else await _view(call, run_id)
        finally:
            leaving.cancel()
            with suppress(asyncio.CancelledError):
                await leaving


async def _heard(hint: Hint, seconds: float) -> bool:
    return seconds > 0 and await hint.wait(seconds)


async def _left(call: Call) -> None:
    """Return when the client has closed its connection."""
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


async def _view(call: Call, run_id: str) -> runs.RunView:
    capacity, now = call.server.site.capacity, call.now
    return await call.read(lambda tx: runs.view(tx, call.caller, run_id, capacity, now))


async def run_json_with_result(call: Call, view: runs.RunView) -> dict[str, Any]:
    """The run, and what it returned under `result` (null if that is nothing)."""
    left = await call.read(lambda tx: results.left_by(tx, call.caller, view.run.id))
    answer = run_view_json(call.server, view, call.now)
    answer["result"] = None
    with suppress(NotFound):
        answer["result"] = await asyncio.to_thread(results.value_of, left, call.server.site)
    return answer
