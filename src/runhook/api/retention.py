"""Handlers of /api/retention and of pins, and their rows of the table."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from starlette.responses import Response

from runhook.api.call import Call, Json, Route
from runhook.api.shapes import run_json
from runhook.services import caches, leftovers, retention
from runhook.services.access import require_admin
from runhook.services.leftovers import SHARDS
from runhook.store.retention import KeptRun

MOST_SHOWN = 10_000
"""Runs in one answer."""


async def show(call: Call) -> Response:
    """What would go now, and why: nothing is changed."""
    require_admin(call.caller, "retention:read")
    return Json(await _what_goes(call))


async def prune(call: Call) -> Response:
    """The same answer, and the loops that remove it are woken: they go on after it."""
    require_admin(call.caller, "retention:write")
    going = await _what_goes(call)
    runs, size = len(going["runs"]), going["bytes"]
    await call.write(lambda tx: retention.note_pruning(tx, call.caller, runs, size, call.now))
    call.server.bus.publish("prune")
    return Json(going, status_code=202)


async def pin(call: Call) -> Response:
    return await _pin(call, True)


async def unpin(call: Call) -> Response:
    return await _pin(call, False)


async def _pin(call: Call, pinned: bool) -> Response:
    run_id, caller, now = call.path("run_id"), call.caller, call.now
    run = await call.write(lambda tx: retention.pin(tx, caller, run_id, pinned, now))
    return Json(run_json(call.server, run))


async def _what_goes(call: Call) -> dict[str, Any]:
    server, now = call.server, call.now
    plan = await call.read(lambda tx: retention.plan(tx, server.rules, now, MOST_SHOWN))
    left = await call.read(lambda tx: leftovers.find(tx, server.site.attempts, SHARDS, now))
    used = await call.read(lambda tx: caches.in_use(tx, server.site))
    full = server.disk.reason()

    def look() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        found = caches.list_caches(Path(server.site.places.cache))
        going = caches.falling_out(found, used, server.rules.caches, now, full=bool(full))
        return _named(going), _named((each, each.reason) for each in left)

    in_cache, leftover = await asyncio.to_thread(look)
    runs = [_run_json(*each) for each in (*plan.files, *plan.history)]
    everything = (*runs, *in_cache, *leftover)
    return {
        "runs": runs,
        "caches": in_cache,
        "leftovers": leftover,
        "bytes": sum(each["bytes"] for each in everything),
        "free_bytes": server.disk.free(),
        "disk": full,
    }


def _run_json(run: KeptRun, reason: str) -> dict[str, Any]:
    return {
        "id": run.id,
        "job": run.job,
        "number": run.number,
        "bytes": run.bytes,
        "reason": reason,
    }


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def bytes(self) -> int: ...


def _named(going: Iterable[tuple[_Named, str]]) -> list[dict[str, Any]]:
    return [{"name": each.name, "bytes": each.bytes, "reason": reason} for each, reason in going]


ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/api/retention", "retention:read", show, "What retention would remove now, and why."
    ),
    Route(
        "POST", "/api/retention/prune", "retention:write", prune, "Have it removed now.", status=202
    ),
    Route(
        "POST",
        "/api/runs/{run_id}/pin",
        "runs:write",
        pin,
        "Keep a run whatever retention says.",
        answer="Run",
    ),
    Route(
        "POST",
        "/api/runs/{run_id}/unpin",
        "runs:write",
        unpin,
        "Keep it no longer than others.",
        answer="Run",
    ),
)
