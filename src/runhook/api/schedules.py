"""Handlers of a job's schedules: what they will do, and running them as of the past."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from runhook.api.call import Call, Json, Route
from runhook.api.shapes import instant, run_json, schedule_json
from runhook.model.schedule import ChangeDay
from runhook.services import jobs, schedules
from runhook.services.schedules import SchedulePreview


class Backfill(BaseModel):
    """Run one schedule as of the past, from an instant (included) until another (not)."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schedule: int = Field(default=0, ge=0, le=31)
    begin: AwareDatetime = Field(alias="from")
    until: AwareDatetime


async def list_schedules(call: Call) -> Response:
    job_id = call.path("job_id")
    found = await call.read(lambda tx: schedules.previews(tx, call.caller, job_id, call.now))
    return Json({"schedules": [preview_json(each) for each in found]})


async def backfill(call: Call) -> Response:
    """The runs of the past fires, new or made before."""
    await call.read(lambda tx: jobs.get(tx, call.caller, call.path("job_id"), "jobs:start"))
    call.server.site.capacity.require_room()
    wanted = await call.body(Backfill)
    begin, until = wanted.begin, wanted.until
    made = await call.write(
        lambda tx: schedules.backfill(
            tx, call.caller, call.path("job_id"), wanted.schedule, begin, until, call.now
        )
    )
    return Json({"runs": [run_json(call.server, run) for run in made]}, status_code=201)


def preview_json(preview: SchedulePreview) -> dict[str, Any]:
    """A schedule with its next fires, and its fires around the next changes of the clocks."""
    return {
        **schedule_json(preview.armed),
        "late": preview.late,
        "next_fires": _instants(preview.fires),
        "clock_changes": [_change_json(change) for change in preview.changes],
    }


def _change_json(change: ChangeDay) -> dict[str, Any]:
    direction = "forward" if change.forward else "back"
    return {"at": instant(change.at), "clocks_go": direction, "fires": _instants(change.fires)}


def _instants(instants: Sequence[datetime]) -> list[str | None]:
    return [instant(each) for each in instants]


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/jobs/{job_id}/schedules",
        "jobs:read",
        list_schedules,
        "The schedules of a job: next fires, lateness, changes of the clocks.",
    ),
    Route(
        "POST",
        "/api/jobs/{job_id}/backfill",
        "jobs:start",
        backfill,
        "Run a schedule as of the past.",
        body="Backfill",
        answer="RunList",
        status=201,
    ),
)
