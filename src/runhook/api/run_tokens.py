"""Handlers of the tokens that a job's runs have for themselves, and their rows of the table."""

from starlette.responses import Response

from runhook.api.call import Call, Json, Route
from runhook.api.token_shapes import RunTokenScope
from runhook.model.job import Job
from runhook.services import jobs, run_tokens


async def get(call: Call) -> Response:
    return _run_tokens(await call.read(lambda tx: jobs.get(tx, call.caller, call.path("job_id"))))


async def rotate(call: Call) -> Response:
    job_id = call.path("job_id")
    return _run_tokens(
        await call.write(lambda tx: run_tokens.rotate(tx, call.caller, job_id, call.now))
    )


async def change(call: Call) -> Response:
    job_id, caller, now = call.path("job_id"), call.caller, call.now
    await call.read(lambda tx: jobs.get(tx, caller, job_id, "jobs:write"))
    scope = (await call.body(RunTokenScope)).scope
    return _run_tokens(
        await call.write(lambda tx: run_tokens.change_scope(tx, caller, job_id, scope, now))
    )


def _run_tokens(job: Job) -> Response:
    return Json(vars(run_tokens.of(job)))


PATH = "/api/jobs/{job_id}/token"
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        PATH,
        "jobs:read",
        get,
        "The scope of the tokens that runs of the job have.",
        answer="RunTokens",
    ),
    Route(
        "POST",
        PATH,
        "jobs:write",
        rotate,
        "End the tokens that runs of the job have now.",
        answer="RunTokens",
    ),
    Route(
        "PATCH",
        PATH,
        "jobs:write",
        change,
        "Give runs another scope, and end the tokens they have.",
        body="RunTokenScope",
        answer="RunTokens",
    ),
)
