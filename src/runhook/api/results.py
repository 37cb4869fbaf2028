"""Handlers of what a run left: its result, its artifacts, its executed notebook."""

import asyncio
import os
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.responses import Response, StreamingResponse

from runhook import artifacts
from runhook.api.call import Call, Json, Query, Route
from runhook.api.files import OpenFile
from runhook.api.shapes import artifact_json
from runhook.artifacts import NotThere
from runhook.errors import NotFound
from runhook.services import results
from runhook.services.results import Left
from runhook.services.site import Site

MOST_ATTEMPTS = 10_000
MOST_LISTED = 10_000
BEFORE_PATH = 5
"""Slashes in front of an artifact's path: /api/runs/<id>/artifacts/<path>."""
ATTEMPT = Query("attempt", "Which attempt; default: the latest.", "integer")


async def _left(call: Call) -> Left:
    run_id, number = call.path("run_id"), call.number("attempt", 0, MOST_ATTEMPTS)
    return await call.read(lambda tx: results.left_by(tx, call.caller, run_id, number))


async def result(call: Call) -> Response:
    """The value, as it is."""
    left = await _left(call)
    return Json(await asyncio.to_thread(results.value_of, left, call.server.site))


async def list_artifacts(call: Call) -> Response:
    left = await _left(call)

    def look() -> artifacts.Listing:
        if left.attempt is None and not left.run.pruned_at:
            return artifacts.Listing([], truncated=False)
        site = call.server.site
        return artifacts.listing(left.directory(site), MOST_LISTED, results.withheld(left, site))

    found = await asyncio.to_thread(look)
    listed = [artifact_json(call.server, left.run.id, each) for each in found.files]
    return Json({"artifacts": listed, "truncated": found.truncated})


async def artifact(call: Call) -> Response:
    raw = call.request.scope["raw_path"].split(b"/", BEFORE_PATH)[-1]
    return await _file(call, await _left(call), unquote_to_bytes(raw))


async def notebook(call: Call) -> Response:
    left = await _left(call)
    return await _file(call, left, results.executed_notebook(left))


def _open(left: Left, site: Site, path: bytes) -> tuple[int, os.stat_result]:
    """NotThere, and why, if there is no such artifact or it is not given out."""
    if results.withheld(left, site)(os.fsdecode(path)):
        raise NotThere(results.why_withheld(left))
    return artifacts.open_file(left.directory(site), path)


async def _file(call: Call, left: Left, path: bytes) -> Response:
    try:
        descriptor, facts = await asyncio.to_thread(_open, left, call.server.site, path)
    except NotThere as error:
        what = path.decode("utf-8", "replace")[:200]
        raise NotFound(
            f"run {call.path('run_id')} has no artifact {what}: {error}",
            hint="GET …/artifacts lists what there is.",
        ) from None
    name = path.rpartition(b"/")[2].decode("utf-8", "replace")
    return OpenFile(descriptor, facts, name)


async def archive(call: Call) -> Response:
    """All of them as one ZIP, made while it is sent."""
    left, site = await _left(call), call.server.site
    directory = left.directory(site)
    withheld = await asyncio.to_thread(results.withheld, left, site)
    name = f"run-{call.path('run_id')}.zip"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    body = artifacts.zipped(directory, withheld)
    return StreamingResponse(body, media_type="application/zip", headers=headers)


def _route(path: str, handler: Any, summary: str, media_type: str = "application/json") -> Route:
    return Route(
        "GET",
        f"/api/runs/{{run_id}}/{path}",
        "runs:read",
        handler,
        summary,
        queries=(ATTEMPT,),
        media_type=media_type,
    )


BYTES = "application/octet-stream"
ROUTES: tuple[Route, ...] = (
    _route("result", result, "What the run returned, as JSON."),
    _route("artifacts", list_artifacts, "The files that a run left."),
    _route("artifacts.zip", archive, "All of them as one ZIP archive.", "application/zip"),
    _route("artifacts/{path:path}", artifact, "One of them, as it is.", BYTES),
    _route("notebook", notebook, "The executed notebook, also while it runs.", BYTES),
)
