"""Handlers of what the compatible contract can do with a job beside our own API, and their rows of
the table."""

from starlette.responses import Response

from runhook import inquiry
from runhook.api.call import Call, Json, Route
from runhook.api.jobs import start_request
from runhook.api.shapes import job_json, run_view_json
from runhook.model.job import Job
from runhook.services import jobs, pods, runs
from runhook.store.database import Transaction


async def restart(call: Call) -> Response:
    """Stop and start, in one transaction; the new run begins once the others are gone."""
    request, job_id = start_request(call, await call.object()), call.path("job_id")

    def work(tx: Transaction) -> runs.Started:
        run = runs.restart(tx, call.caller, job_id, request, call.now, call.server.keys)
        return runs.started(tx, call.caller, run)

    call.server.site.capacity.require_room()
    made = await inquiry.started(call, job_id, lambda: call.write(work))
    answer = job_json(call.server, made.job)
    answer["run"] = run_view_json(call.server, made.run, call.now)
    return Json(answer, headers={"Location": answer["run"]["url"]})


async def stop_run(call: Call) -> Response:
    """End one run, named as `job-name` of its pods says; its id will do."""
    job_id, name = call.path("job_id"), call.path("run_name")

    def work(tx: Transaction) -> Job:
        job = jobs.get(tx, call.caller, job_id, "runs:cancel")
        run_id = pods.run_named(tx, job, name)
        runs.cancel(tx, call.caller, run_id, call.now)
        return job

    job = await call.write(work)
    view = (await call.read(lambda tx: jobs.views(tx, [job])))[0]
    return Json(job_json(call.server, jobs.for_eyes(call.caller, view)))


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/api/jobs/{job_id}/restart",
        "jobs:start",
        restart,
        "Cancel every active run, and start another.",
        body="Start",
        body_required=False,
        answer="Job",
    ),
    Route(
        "POST",
        "/api/jobs/{job_id}/stop/{run_name}",
        "runs:cancel",
        stop_run,
        "End one run by its name.",
        answer="Job",
    ),
)
