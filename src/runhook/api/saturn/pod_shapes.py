"""The JSON shapes of pods, containers and what is kept of them, as the compatible contract has
them. An attempt is a pod with one container, called `main`."""

from typing import Any

from runhook.api.shapes import instant
from runhook.model.run import Attempt, RunState
from runhook.services.pods import Pod

NAMESPACE = "main-namespace"
CONTAINER = "main"
POD_STATUS = {
    RunState.QUEUED: "pending",
    RunState.STARTING: "pending",
    RunState.RUNNING: "running",
    RunState.SUCCEEDED: "completed",
    RunState.CANCELLED: "stopped",
}
CONTAINER_STATUS = {
    RunState.QUEUED: "waiting",
    RunState.STARTING: "pending",
    RunState.RUNNING: "running",
    RunState.SUCCEEDED: "completed",
}


def pod_status(pod: Pod) -> str:
    """The state of a pod in the contract's words; a run that was asked to end is stopping."""
    if pod.active and pod.run.cancel_requested_at:
        return "stopping"
    return POD_STATUS.get(pod.state, "error")


def pod_json(pod: Pod) -> dict[str, Any]:
    """A `PodRuntimeSummary`; `started_at` is never null, since clients sort by it."""
    attempt = pod.attempt
    return {
        **_common(pod, attempt),
        "name": pod.name,
        "started_at": instant(pod.began_at),
        "status": pod_status(pod),
        "init_container_summaries": [],
        "container_summaries": [_container_json(pod, attempt)],
        "node_name": None,
        "completed_at": instant(attempt.finished_at) if attempt else None,
        "reason": None,
    }


def _container_json(pod: Pod, attempt: Attempt | None, last: bool = True) -> dict[str, Any]:
    """The container; `previous` is the attempt before, if the run was tried again."""
    state = attempt.state if attempt else pod.state
    before = pod.before if last else None
    return {
        **_common(pod, attempt),
        "name": CONTAINER,
        "started_at": instant(attempt.started_at) if attempt else None,
        "status": CONTAINER_STATUS.get(state, "error"),
        "finished_at": instant(attempt.finished_at) if attempt else None,
        "restart_policy": "Never",
        "image_pulled": True,
        "exit_code": attempt.exit_code if attempt else None,
        "reason": None,
        "previous": _container_json(pod, before, last=False) if before else None,
    }


def _common(pod: Pod, attempt: Attempt | None) -> dict[str, Any]:
    return {
        "namespace": NAMESPACE,
        "uid": attempt.id if attempt else pod.run.id,
        "controller_uid": pod.run.id,
        "controller_kind": "Job",
        "labels": labels(pod),
        "annotations": {},
        "conditions": [],
        "deleted_at": None,
    }


def labels(pod: Pod) -> dict[str, str]:
    """By these clients tell whose pod it is."""
    return {
        "saturncloud.io/resource-id": pod.job.id,
        "saturncloud.io/resource-type": "job",
        "saturncloud.io/resource-name": pod.job.name,
        "job-name": pod.run_name,
    }


def history_json(pod: Pod) -> dict[str, Any]:
    """A `PodHistory`, with the `end_time` that clients read although the contract has none. Its
    times are exact, since clients take the latest: runs may begin in the same second."""
    attempt, run = pod.attempt, pod.run
    ended = attempt.finished_at if attempt else run.finished_at
    seen = ended or (attempt and attempt.started_at) or pod.began_at
    return {
        "pod_name": pod.name,
        "status": pod_status(pod),
        "last_seen": instant(seen),
        "start_time": instant(pod.began_at),
        "end_time": instant(ended),
        "label_job_name": pod.run_name,
    }
