"""The JSON shapes of answers: the fields of the compatible contract, and ours beside them."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from runhook.artifacts import Artifact
from runhook.model.access import Group, Member, User
from runhook.model.given_back import given_back
from runhook.model.people import Owner, organization_id, owner_id
from runhook.model.policy import CONCURRENCY
from runhook.model.progress import Progress
from runhook.model.recipe import SCHEMA_VERSION
from runhook.model.run import Attempt, Event, Run, RunState, Step
from runhook.services.jobs import JobView
from runhook.services.runs import RunView
from runhook.services.site import Server
from runhook.store.jobs import ArmedSchedule, JobVersion
from runhook.store.sessions import Session

RULES = (
    "artifacts limits overlap max_running max_queued pool priority queue_timeout retry retention "
    "triggers secrets config_files"
).split()
"""Fields of a definition that stand in a job object as they were given."""
DEFAULT_WORKING_DIRECTORY = "/home/jovyan/workspace"
FAILURES = (RunState.FAILED, RunState.TIMED_OUT, RunState.LOST)


def stamp(at: datetime) -> str:
    """An instant in whole seconds, `2026-01-31T12:00:00+00:00`, as the contract has it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def instant(at: datetime | None) -> str | None:
    """An instant to the microsecond, in RFC 3339."""
    return at.isoformat() if at else None


def job_url(server: Server, job_id: str) -> str:
    return f"{server.site.url}/dash/resources/job/{job_id}"


def run_url(server: Server, run_id: str) -> str:
    return f"{server.site.url}/dash/runs/{run_id}"


def owner_json(
    server: Server, name: str, at: datetime, known: Owner | None = None
) -> dict[str, Any]:
    """An owner such as main/admin. Its id is made from the name, so it is the same everywhere;
    `known` says what it is, a person if nothing is known."""
    organization, _, identity = name.rpartition("/")
    return {
        "id": owner_id(name),
        "name": name,
        "identity_name": identity,
        "org_name": organization or server.organization,
        "created_at": stamp(at),
        "org_admin": False,
        "org_id": organization_id(organization),
        "user_id": known.id if known and known.kind == "user" else None,
        "group_id": known.id if known and known.kind == "group" else None,
        "identity_type": known.kind if known else "user",
        "avatar_url": "",
    }


def user_json(user: User, created_at: datetime) -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.name,
        "owner": user.owner,
        "email": user.email or f"{user.name}@localhost.invalid",
        "full_name": user.full_name or user.name,
        "admin": user.admin,
        "active": not user.disabled,
        "locked": user.disabled,
        "locked_reason": "",
        "created_at": stamp(created_at),
        "avatar_url": "",
        "is_multiple_ssh_keys": True,
    }


def group_json(group: Group) -> dict[str, Any]:
    organization = group.owner.partition("/")[0]
    return {
        "id": group.id,
        "groupname": group.name,
        "owner": group.owner,
        "description": group.description,
        "created_at": stamp(group.created_at),
        "avatar_url": "",
        "is_multiple_ssh_keys": True,
        "org_id": organization_id(organization),
        "org_name": organization,
        "org_admin": False,
    }


def member_json(member: Member) -> dict[str, Any]:
    return {
        "user_id": member.user_id,
        "username": member.name,
        "owner": member.owner,
        "role": member.role,
        "source": member.source,
        "created_at": stamp(member.created_at),
    }


def session_json(session: Session, current: bool) -> dict[str, Any]:
    """A session of one's own; `current` is the one that asks."""
    return {
        "id": session.id_hash,
        "current": current,
        "created_at": instant(session.created_at),
        "expires_at": instant(session.expires_at),
        "seen_at": instant(session.seen_at),
        "address": session.address,
        "agent": session.agent,
    }


def job_status(view: JobView) -> str:
    """The state of a job in the contract's words."""
    doing = view.activity
    if doing:
        return "stopping" if doing.stopping else "running" if doing.running else "pending"
    last = next((run for run in view.recent if run.state != RunState.SKIPPED), None)
    if last is None or last.state == RunState.CANCELLED:
        return "stopped"
    return "error" if last.state in FAILURES else "completed"


def job_json(server: Server, view: JobView) -> dict[str, Any]:
    """A job: every field of the contract's `Job`, then ours."""
    job, spec = view.job, view.job.spec
    given = spec.recipe_spec()
    last = view.last
    return {
        "id": job.id,
        "name": job.name,
        "owner": owner_json(server, job.owner, job.created_at, view.owner),
        "command": spec.command or "",
        "description": spec.description or "",
        "tags": spec.tags or {},
        "instance_size": spec.instance_type or "",
        "image_tag": _image_tag(server, view),
        "extra_packages": _flat_packages(given.get("extra_packages") or {}),
        "cron_schedule_options": _cron_options(view),
        "start_script": spec.start_script or "",
        "environment_variables": spec.environment_variables or {},
        "working_dir": spec.working_directory or DEFAULT_WORKING_DIRECTORY,
        "is_spot": bool(spec.use_spot_instance),
        "start_dind": bool(spec.start_dind),
        "scale": spec.scale or 1,
        "retries": spec.retrying.count,
        "k8s_name": f"id-{job.id}",
        "require_restart": False,
        "resource_type": "job",
        "size_display": spec.instance_type or "",
        "created_at": stamp(job.created_at),
        "updated_at": stamp(job.updated_at),
        "last_deploy": stamp(last.created_at if last else job.created_at),
        "status": job_status(view),
        "running_count": view.activity.running,
        "debug_mode": False,
        "scheduled": any(not armed.paused for armed in view.schedules),
        "version": job.version,
        "url": job_url(server, job.id),
        "created_by": view.created_by,
        "notebook": spec.notebook,
        "parameters": spec.parameters or {},
        "git_repositories": given.get("git_repositories") or [],
        "environment": given.get("environment"),
        "python": spec.python,
        **{name: given.get(name) for name in RULES},
        "schedules": [schedule_json(armed) for armed in view.schedules],
        "next_fire_at": instant(view.next_fire_at),
        "warnings": spec.not_offered(server.site.sizes),
    }


def schedule_json(armed: ArmedSchedule) -> dict[str, Any]:
    """A schedule as it was given, and what it will do."""
    return {
        **armed.rule.model_dump(mode="json", exclude_unset=True),
        "id": armed.id,
        "zone": armed.rule.zone,
        "paused": armed.paused,
        "next_fire_at": None if armed.paused else instant(armed.next_fire_at),
        "due_at": None if armed.paused else instant(armed.due_at),
        "fired_at": instant(armed.fired_at),
        "explained": armed.rule.explain(),
    }


def _cron_options(view: JobView) -> dict[str, Any] | None:
    rules = view.job.spec.rules
    if not rules:
        return None
    policies = {meant: word for word, meant in CONCURRENCY.items()}
    policy = policies.get(view.job.spec.on_overlap, "Allow")
    return {"schedule": rules[0].cron, "concurrency_policy": policy}


def _flat_packages(given: Mapping[str, Any]) -> dict[str, Any]:
    """Recipes nest the packages, job objects keep them flat."""
    flat: dict[str, Any] = {
        "as_requirements_txt": False,
        "as_environment_yml": False,
        "use_mamba": False,
    }
    for name, section in given.items():
        if not isinstance(section, dict):
            flat[name] = section
        elif name == "pip":
            flat["pip"] = section.get("requirements_txt") or section.get("install")
            flat["as_requirements_txt"] = bool(section.get("requirements_txt"))
        else:
            flat[name] = section.get("environment_yml") or section.get("install")
        if name == "conda" and isinstance(section, dict):
            flat["as_environment_yml"] = bool(section.get("environment_yml"))
            flat["use_mamba"] = bool(section.get("use_mamba"))
    return flat


def _image_tag(server: Server, view: JobView) -> dict[str, Any]:
    """The image is kept as given; here it only has to look like one."""
    job = view.job
    image = job.spec.image
    text = (
        image
        if isinstance(image, str)
        else str((image or {}).get("uri") or (image or {}).get("name") or "")
    )
    name, _, version = text.partition(":")
    at = stamp(job.created_at)
    return {
        "id": uuid.uuid5(uuid.NAMESPACE_URL, f"image/{text}").hex,
        "created_at": at,
        "image": {
            "id": uuid.uuid5(uuid.NAMESPACE_URL, f"image/{name}").hex,
            "name": name,
            "owner": owner_json(server, job.owner, job.created_at, view.owner),
            "description": "",
            "created_at": at,
            "hardware_type": "CPU",
            "supports": ["job"],
            "access": "org",
            "is_base": False,
            "is_gpu": False,
            "trusted": True,
        },
        "image_uri": text,
        "description": "",
        "version": version or "latest",
        "archived": False,
        "is_external": True,
        "status": "built",
    }


def version_json(version: JobVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "created_at": instant(version.created_at),
        "created_by": version.created_by,
        "spec": version.spec.recipe_spec(),
    }


def recipe_json(
    server: Server, view: JobView, action: str | None = None, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """A job as a recipe, in the form it was given but for what strict clients need, with the state
    it is in. Applied it is the same job."""
    job = view.job
    recipe: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "type": "job",
        "spec": {**given_back(job.spec.recipe_spec()), "owner": job.owner},
        "state": {"id": job.id, "status": job_status(view), "url": job_url(server, job.id)},
        "warnings": [*notes, *job.spec.not_offered(server.site.sizes)],
    }
    if action:
        recipe["state"]["action"] = action
    return recipe


def run_json(server: Server, run: Run) -> dict[str, Any]:
    """A run as lists show it."""
    return {
        "id": run.id,
        "job_id": run.job_id,
        "job_version": run.job_version,
        "number": run.number,
        "url": run_url(server, run.id),
        "state": run.state,
        "trigger": run.trigger,
        "parameters": run.shown_parameters,
        "scheduled_for": instant(run.scheduled_for),
        "commits": run.commits,
        "exit_code": run.exit_code,
        "step": run.step,
        "reason": run.reason,
        "lock": run.lock_id,
        "priority": run.priority,
        "pool": run.pool,
        "caused_by": run.caused_by,
        "replay_of": run.replay_of,
        "not_before_at": instant(run.not_before_at),
        "queue_expires_at": instant(run.queue_expires_at),
        "cancel_requested_at": instant(run.cancel_requested_at),
        "created_at": instant(run.created_at),
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at),
        "pinned": run.pinned,
        "kept_bytes": run.kept_bytes,
        "pruned_at": instant(run.pruned_at),
    }


def run_view_json(server: Server, view: RunView, now: datetime) -> dict[str, Any]:
    """A run with its attempts, waterfall and place in the queue."""
    return {
        **run_json(server, view.run),
        "job_name": view.job.name,
        "started_by": view.started_by,
        "position": view.waiting.ahead if view.waiting else None,
        "waiting": view.waiting.sentence if view.waiting else None,
        "attempts": [attempt_json(attempt) for attempt in view.attempts],
        "waterfall": [step_json(step) for step in view.waterfall(now)],
    }


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "number": attempt.number,
        "state": attempt.state,
        "executor": attempt.executor,
        "isolation": attempt.isolation,
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "step": attempt.step,
        "reason": attempt.reason,
        "created_at": instant(attempt.created_at),
        "started_at": instant(attempt.started_at),
        "finished_at": instant(attempt.finished_at),
    }


def artifact_json(server: Server, run_id: str, artifact: Artifact) -> dict[str, Any]:
    """A file of a run; its `url` is exact, whatever bytes its name has."""
    return {
        "path": artifact.path,
        "size": artifact.size,
        "modified_at": instant(artifact.modified_at),
        "url": f"{server.site.url}/api/runs/{run_id}/artifacts/{artifact.address}",
    }


def progress_json(progress: Progress) -> dict[str, Any]:
    """How far a notebook has come; durations in seconds."""
    seconds = ("elapsed", "cell_elapsed", "left", "usual")
    counts = ("cell", "of", "done", "code_cells")
    told: dict[str, Any] = {name: getattr(progress, name) for name in counts}
    for name in seconds:
        value = getattr(progress, name)
        told[name] = None if value is None else round(value, 3)
    return {**told, "stalled": progress.stalled, "sentence": progress.sentence}


def event_json(event: Event, event_id: str, attempt: int | None) -> dict[str, Any]:
    """Something that happened to a run; `id` says where to go on, `attempt` is a number."""
    return {
        "id": event_id,
        "at": instant(event.at),
        "kind": event.kind,
        "attempt": attempt,
        "data": event.data,
    }


def step_json(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "start": round(step.start, 6),
        "seconds": round(step.seconds, 6),
        "note": step.note,
    }
