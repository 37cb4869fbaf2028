"""Handlers of running exactly this again."""

from starlette.responses import Response

from runhook.api.call import Call, Json, Route
from runhook.api.shapes import run_url, run_view_json
from runhook.services import replays, runs
from runhook.store.database import Transaction


async def replay(call: Call) -> Response:
    """The new run, queued. With an Idempotency-Key that was used before, the run of that time."""
    server, key = call.server, call.request.headers.get("idempotency-key")

    def work(tx: Transaction) -> runs.RunView:
        run_id = call.path("run_id")
        run = replays.replay(tx, server.keys, call.caller, run_id, call.now, key)
        return runs.view_of(tx, run, server.site.capacity, call.now)

    server.site.capacity.require_room()
    view = await call.write(work)
    headers = {"Location": run_url(server, view.run.id)}
    return Json(run_view_json(server, view, call.now), status_code=201, headers=headers)


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/api/runs/{run_id}/replay",
        "jobs:start",
        replay,
        "Run exactly this again: the same commits, packages, definition and parameters.",
        answer="Run",
        status=201,
    ),
)
