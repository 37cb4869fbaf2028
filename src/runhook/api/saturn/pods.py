"""Handlers of pods and their logs, and their rows of the table."""

import asyncio
from pathlib import Path
from typing import Any

from starlette.responses import Response

from runhook.api.call import Call, Json, Query, Route, opened, sealed
from runhook.api.saturn.log_lines import piece, tail
from runhook.api.saturn.pod_shapes import CONTAINER, history_json, pod_json
from runhook.api.shapes import stamp
from runhook.errors import Invalid, NotFound
from runhook.services import pods
from runhook.services.pods import Pod

LINES, MOST_LINES = 1000, 5000
WORKLOADS = ("job", "workspace", "deployment", "dask", "image_build")
LARGEST_OFFSET = 2**53


async def history(call: Call) -> Response:
    """Every pod that the job had, as far as it is remembered; clients read one page only."""
    job_id = call.path("job_id")
    found = await call.read(lambda tx: pods.of_job(tx, call.caller, job_id))
    return Json({"pods": [history_json(pod) for pod in found]})


async def active(call: Call) -> Response:
    """The pods that live or wait. Nothing but jobs has any here."""
    kind = call.query("workload_type") or "job"
    if kind not in WORKLOADS:
        sentence = f"write one of {', '.join(WORKLOADS)}"
        raise Invalid("cannot list pods", details={"workload_type": sentence})
    job_id = call.query("workload_id")
    found: list[Pod] = []
    if kind == "job":
        found = await call.read(lambda tx: pods.active(tx, call.caller, job_id))
    return Json(_whole("pod_summaries", [pod_json(pod) for pod in found]))


async def get(call: Call) -> Response:
    """A pod by name, ended ones too: clients fall back to the history only from an answer."""
    return Json(pod_json(await _pod(call)))


async def live_log(call: Call) -> Response:
    """The end of a pod's log, or of the attempt's before it (`previous`)."""
    pod = await _pod(call)
    if call.query("container_name") not in (None, CONTAINER):
        raise NotFound(f"pod {pod.name} has one container, and it is called {CONTAINER}")
    lines = max(1, call.number("page_size", LINES, MOST_LINES))
    path = _log(call, pod, previous=call.flag("previous"))
    text = await asyncio.to_thread(tail, path, lines) if path else ""
    return Json({"logs": text})


async def kept_log(call: Call) -> Response:
    """A pod's log line by line, of the newest pod if none is named: whole unless `page_size` is
    given, since clients read one page only; a log that is too long for one answer leads on."""
    job_id, name = call.path("job_id"), call.query("pod_name")
    if name:
        pod = await call.read(lambda tx: pods.find(tx, call.caller, name, job_id))
    else:
        found = await call.read(lambda tx: pods.of_job(tx, call.caller, job_id))
        if not found:
            return Json(_whole("logs", []))
        pod = found[0]
    path = _log(call, pod)
    if path is None:
        return Json(_whole("logs", []))
    size = call.number("page_size", 0, MOST_LINES) or None
    return await asyncio.to_thread(_lines, path, pod, _offset(call, pod), size)


def _lines(path: Path, pod: Pod, offset: int, most: int | None) -> Response:
    """The answer with the lines from `offset` on. Call it in a thread: there are many."""
    found = piece(path, offset, most)
    began = stamp(pod.began_at)
    rows = [
        {
            "timestamp": stamp(line.at) if line.at else began,
            "content": line.text,
            "pod_name": pod.name,
            "container_name": CONTAINER,
        }
        for line in found.lines
    ]
    more = sealed([found.end, pod.name]) if found.more else None
    return Json({"logs": rows, "prev_key": None, "next_key": more})


def _whole(name: str, rows: list[Any]) -> dict[str, Any]:
    """A list that is one page."""
    return {name: rows, "prev_key": None, "next_key": None}


def _offset(call: Call, pod: Pod) -> int:
    key = opened(call, "next_key")
    if key is None:
        return 0
    if type(key[0]) is not int or not 0 <= key[0] < LARGEST_OFFSET or key[1] != pod.name:
        raise Invalid("cannot read the key of this page")
    return int(key[0])


async def _pod(call: Call) -> Pod:
    name = call.path("pod_name")
    return await call.read(lambda tx: pods.find(tx, call.caller, name))


def _log(call: Call, pod: Pod, *, previous: bool = False) -> Path | None:
    attempt = pod.before if previous else pod.attempt
    return call.server.site.directory(attempt.id) / "log" if attempt else None


POD = "/api/active/pods/{pod_name}"
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/jobs/{job_id}/history",
        "runs:read",
        history,
        "The pods of a job: one for each attempt of its runs, newest first.",
    ),
    Route(
        "GET",
        "/api/jobs/{job_id}/logs",
        "runs:read",
        kept_log,
        "The log of a pod, line by line.",
        queries=(
            Query("pod_name", "Which pod; default: the newest."),
            Query("page_size", "How many lines; default: all.", "integer"),
            Query("next_key", "The answer's next_key, for the lines after it."),
        ),
    ),
    Route(
        "GET",
        "/api/active/pods",
        "runs:read",
        active,
        "The pods of active runs, newest first.",
        queries=(
            Query("workload_type", "Only 'job' finds any."),
            Query("workload_id", "The job's id; default: of all jobs."),
        ),
    ),
    Route("GET", POD, "runs:read", get, "A pod by name, also one that has ended."),
    Route(
        "GET",
        f"{POD}/logs",
        "runs:read",
        live_log,
        "The last lines that a pod wrote.",
        queries=(
            Query("container_name", "'main', the only one."),
            Query("previous", "Of the attempt before.", "boolean"),
            Query("page_size", "How many lines, at most 5000; default 1000.", "integer"),
        ),
    ),
)
