"""Handlers of a job's contract: as JSON Schema, and as an OpenAPI document of the job's own."""

from typing import Any

from starlette.responses import Response

from runhook import __version__, inquiry
from runhook.api.call import Call, Json, Route
from runhook.api.document import ERROR, JOB, RUN, SECURITY
from runhook.api.waiting import LONGEST_WAIT
from runhook.errors import Unavailable
from runhook.model.job import Job
from runhook.model.known_contract import KnownContract
from runhook.services import contracts, jobs
from runhook.store.database import Transaction


async def contract(call: Call) -> Response:
    """The parameters of a start, as JSON Schema (draft 2020-12)."""
    job, known = await _known(call)
    schema = known.schema(job.name)
    return Json(schema, headers={"Content-Type": "application/schema+json"})


async def openapi(call: Call) -> Response:
    """The start of this job as an operation of its own, and what its answers look like."""
    job, known = await _known(call)
    return Json(job_document(job, known, call.server.site.url))


async def _known(call: Call) -> tuple[Job, KnownContract]:
    """The job and its contract; a notebook that nobody has looked into is looked into now."""
    problem: str | None = None

    def work(tx: Transaction) -> tuple[Job, KnownContract]:
        job = jobs.get(tx, call.caller, call.path("job_id"))
        return job, contracts.of_job(tx, job, problem)

    job, known = await call.read(work)
    if not contracts.is_unknown(known, job):
        return job, known
    try:
        await inquiry.learn(call, job.id)
    except Unavailable as error:
        problem = error.message
    return await call.read(work)


def job_document(job: Job, known: KnownContract, url: str) -> dict[str, Any]:
    """OpenAPI 3.1 with one operation, for generators of clients and forms."""
    parameters = {
        name: value for name, value in known.schema(job.name).items() if name != "$schema"
    }
    body = {
        "type": "object",
        "properties": {
            "parameters": parameters,
            "scheduled_for": {"type": "string", "format": "date-time"},
        },
        "required": ["parameters"] if parameters["required"] else [],
        "additionalProperties": False,
    }
    operation = {
        "operationId": "start",
        "summary": f"Start {job.name}.",
        "parameters": PARAMETERS,
        "requestBody": {
            "required": bool(parameters["required"]),
            "content": {"application/json": {"schema": body}},
        },
        "responses": {
            "200": _answer(
                "Started; with wait=, ended, and run.result is what it returned.", "Job"
            ),
            "202": _answer("Not ended in time: Location is the run's address.", "Job"),
            "422": _answer("A parameter is unknown or has a wrong value.", "Error"),
            "default": _answer("What is wrong, in a sentence.", "Error"),
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": job.name,
            "version": str(job.version),
            "description": job.spec.description or f"A job of Runhook {__version__}.",
        },
        "servers": [{"url": url}],
        "paths": {f"/api/jobs/{job.id}/start": {"post": operation}},
        "components": {
            "schemas": {"Error": ERROR, "Job": JOB, "Run": RUN},
            "securitySchemes": {"token": SECURITY},
        },
        "security": [{"token": []}],
    }


PARAMETERS = [
    {
        "name": "wait",
        "in": "query",
        "description": "Answer when the run has ended, or after so many seconds.",
        "schema": {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT},
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key again gives the same run.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
]


def _answer(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/jobs/{job_id}/contract",
        "jobs:read",
        contract,
        "What a start takes, as JSON Schema.",
        media_type="application/schema+json",
    ),
    Route(
        "GET",
        "/api/jobs/{job_id}/openapi.json",
        "jobs:read",
        openapi,
        "The start of this job, as OpenAPI.",
    ),
)
