"""Handlers of a run's log by lines: slices of it, and looking for something in the whole."""

import asyncio
from datetime import datetime
from pathlib import Path

from starlette.responses import Response

from runhook import log_lines, log_search, log_times
from runhook.api.call import Call, Json, Query, Route
from runhook.log_lines import Slice
from runhook.log_search import Wanted
from runhook.services import results

MOST_ATTEMPTS, MOST_LINES = 10_000, 2000
FURTHEST = 10**12
USUAL = 500
RUN = "/api/runs/{run_id}/log"
ATTEMPT = Query("attempt", "Which attempt; default: the latest.", "integer")


async def _path(call: Call) -> Path | None:
    """The log that is asked for; None if there is none (yet)."""
    run_id, number = call.path("run_id"), call.number("attempt", 0, MOST_ATTEMPTS)
    left = await call.read(lambda tx: results.left_by(tx, call.caller, run_id, number))
    return call.server.site.directory(left.attempt.id) / "log" if left.attempt else None


async def lines(call: Call) -> Response:
    """A slice, by the numbers of its lines; without a number the end."""
    path = await _path(call)
    first = call.number("from", 0, FURTHEST) or None
    count, timed = call.number("count", USUAL, MOST_LINES), call.flag("times")

    def look() -> tuple[Slice, list[datetime | None]]:
        if path is None:
            return Slice(first or 1, [], 0, counted=True), []
        found = log_lines.lines(path, first, count)
        ends = [line.end for line in found.lines]
        return found, log_times.times(path, ends) if timed else []

    found, at = await asyncio.to_thread(look)
    answer = {
        "from": found.first,
        "total": found.total,
        "counted": found.counted,
        "lines": [line.data.decode("utf-8", "replace") for line in found.lines],
        "cut": [n for n, line in enumerate(found.lines, found.first) if line.cut],
    }
    if timed:
        answer["times"] = [each and each.isoformat() for each in at]
    return Json(answer)


async def search(call: Call) -> Response:
    """The next line, in either direction, that shows what is looked for."""
    path = await _path(call)
    wanted = Wanted(
        call.query("text") or "",
        max(1, call.number("from", 1, FURTHEST)),
        call.flag("back"),
        call.flag("expression"),
    )
    errors = call.flag("errors")
    if path is None:
        return Json({"line": None, "resume": None})
    hit = await (
        log_search.first_error(path, wanted.first) if errors else log_search.search(path, wanted)
    )
    return Json({"line": hit.line, "resume": hit.resume})


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        f"{RUN}/lines",
        "runs:read",
        lines,
        "Lines of the log of a run.",
        queries=(
            Query("from", "The first, counted from 1; default: the last ones.", "integer"),
            Query("count", "How many, at most 2000; fewer if they are long.", "integer"),
            Query("times", "Say when each was written, too.", "boolean"),
            ATTEMPT,
        ),
    ),
    Route(
        "GET",
        f"{RUN}/search",
        "runs:read",
        search,
        "The next line of the log that shows some text; `resume`: go on there, it took long.",
        queries=(
            Query("text", "Words, or a regular expression of Python; case makes no difference."),
            Query("expression", "It is an expression.", "boolean"),
            Query("errors", "Look for what tells of an error instead.", "boolean"),
            Query("from", "Begin with this line, counted from 1.", "integer"),
            Query("back", "Towards the beginning.", "boolean"),
            ATTEMPT,
        ),
    ),
)
