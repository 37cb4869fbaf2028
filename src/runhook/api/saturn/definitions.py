"""Handlers of what belongs to one job in the compatible contract, beside starting and stopping it,
and their rows of the table."""

from typing import Any

from starlette.responses import Response

from runhook.api.call import Call, Json, Query, Route
from runhook.api.recipes import template
from runhook.api.saturn.absent import why
from runhook.api.saturn.pod_shapes import NAMESPACE, labels, pod_status
from runhook.api.shapes import instant, recipe_json
from runhook.errors import NotFound
from runhook.services import jobs, pods
from runhook.services.pods import Pod
from runhook.store.database import Transaction

SERIES = ("cpu", "memory", "network_in", "network_out", "gpu", "gpu_memory")


async def recipe(call: Call) -> Response:
    """The job as a recipe."""
    as_template = call.flag("as_template")

    def work(tx: Transaction) -> dict[str, Any]:
        job = jobs.get(tx, call.caller, call.path("job_id"))
        return recipe_json(call.server, jobs.views(tx, [job])[0])

    found = await call.read(work)
    return Json(template(found) if as_template else found)


def _summary_json(pod: Pod) -> dict[str, Any]:
    """A `JobRuntimeSummary`: a run with the pod that it has now."""
    status = pod_status(pod)
    return {
        "name": pod.run_name,
        "namespace": NAMESPACE,
        "uid": pod.run.id,
        "controller_uid": None,
        "controller_kind": None,
        "labels": labels(pod),
        "annotations": {},
        "conditions": [],
        "started_at": instant(pod.began_at),
        "deleted_at": None,
        "status": status,
        "scale": pod.job.spec.instances,
        "running_count": int(status == "running"),
        "active_count": 1,
        "completed_at": None,
    }


async def runtime_summaries(call: Call) -> Response:
    """The runs that live or wait."""
    job_id = call.path("job_id")
    found = await call.read(lambda tx: pods.active(tx, call.caller, job_id))
    shown = [_summary_json(pod) for pod in found]
    return Json({"job_summaries": shown, "prev_key": None, "next_key": None})


async def clusters(call: Call) -> Response:
    """Runs begin on the server's machine: there are no clusters to tell apart."""
    await call.read(lambda tx: jobs.get(tx, call.caller, call.path("job_id")))
    return Json({"clusters": []})


async def metrics(call: Call) -> Response:
    """Nothing is measured while a run goes on: no series."""
    job_id = call.path("job_id")
    await call.read(lambda tx: jobs.get(tx, call.caller, job_id, "runs:read"))
    return Json({name: [] for name in SERIES})


async def get_template(call: Call) -> Response:
    return await _nothing(call, "template")


async def get_service_account(call: Call) -> Response:
    return await _nothing(call, "cloud identity")


async def _nothing(call: Call, what: str) -> Response:
    job = await call.read(lambda tx: jobs.get(tx, call.caller, call.path("job_id")))
    raise NotFound(f"{job.name} has no {what}", hint=why(call.request.url.path))


JOB = "/api/jobs/{job_id}"
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        f"{JOB}/recipe",
        "jobs:read",
        recipe,
        "The job as a recipe.",
        answer="Recipe",
        queries=(Query("as_template", "Without owner and state.", "boolean"),),
    ),
    Route(
        "GET",
        f"{JOB}/runtimesummary",
        "runs:read",
        runtime_summaries,
        "Runs of the job that live or wait.",
    ),
    Route("GET", f"{JOB}/clusters", "jobs:read", clusters, "No clusters: an empty list."),
    Route("GET", f"{JOB}/metrics", "runs:read", metrics, "No measurements: empty lists."),
    Route("GET", f"{JOB}/template", "jobs:read", get_template, "No template: not found."),
    Route(
        "GET",
        f"{JOB}/service_account",
        "jobs:read",
        get_service_account,
        "No cloud identity: not found.",
    ),
)
