"""Handlers of /api/jobs."""

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, TypeAdapter, ValidationError
from starlette.responses import Response

from runhook import inquiry
from runhook.api import owners, waiting
from runhook.api.call import Call, Json, Page
from runhook.api.fields import spec_values, with_changes
from runhook.api.repository_fields import with_repositories
from runhook.api.shapes import job_json, run_view_json, version_json
from runhook.errors import Invalid
from runhook.model.job import Job
from runhook.model.known_contract import KnownContract
from runhook.model.run import TERMINAL, Trigger
from runhook.services import contracts, jobs, runs
from runhook.services.access import require_scope
from runhook.services.jobs import JobView
from runhook.services.possible import require_possible
from runhook.store.database import Transaction

RECENT = 20
INSTANT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


async def list_jobs(call: Call) -> Response:
    page, tag = Page.of(call), _tag(call)
    name, descending = call.query("name") or "", call.flag("descending")

    def work(tx: Transaction) -> dict[str, Any]:
        found = jobs.list_page(
            tx,
            call.caller,
            size=page.size + 1,
            name=name,
            owner=owners.asked(tx, call, "jobs:read"),
            tag=tag,
            after=edge(page.after),
            before=edge(page.before),
            descending=descending,
        )
        answer = page.answer("jobs", found, lambda job: [job.name, job.id])
        views = jobs.views(tx, answer["jobs"])
        return {**answer, "jobs": [job_json(call.server, view) for view in views]}

    return Json(await call.read(work))


def edge(key: list[Any] | None) -> tuple[str, str] | None:
    """The name and id of the job at the edge of a page."""
    if key is None:
        return None
    if not isinstance(key[0], str):
        raise Invalid("cannot read the key of this page")
    return key[0], key[1]


def _tag(call: Call) -> tuple[str, str] | None:
    """`tags=key:value`; the value may hold more colons."""
    text = call.query("tags")
    if text is None:
        return None
    key, colon, value = text.partition(":")
    if not (key and colon) or set('"\\') & set(key):
        raise Invalid("cannot read tags", details={"tags": "write one as key:value"})
    return key, value


async def _definition(call: Call) -> dict[str, Any]:
    """The body, with the ids that the compatible contract has in it looked up."""
    body = await call.object()
    return await call.read(
        lambda tx: with_repositories(tx, call, owners.with_owner(tx, call, body))
    )


async def create(call: Call) -> Response:
    spec = jobs.parse_spec(spec_values(await _definition(call)))
    require_possible(spec, call.server.site)
    job = await call.write(lambda tx: jobs.create(tx, call.caller, spec, call.now))
    await inquiry.learn_soon(call, job.id)
    return await _answer(call, job, status=201)


async def get(call: Call) -> Response:
    job = await call.read(lambda tx: jobs.get(tx, call.caller, call.path("job_id")))
    return await _answer(call, job)


async def change(call: Call) -> Response:
    """The named fields replaced, the others as they were."""
    body = await _definition(call)

    def work(tx: Transaction) -> Job:
        job = jobs.get(tx, call.caller, call.path("job_id"), "jobs:write")
        spec = jobs.parse_spec(with_changes(job.spec.recipe_spec(), body))
        require_possible(spec, call.server.site)
        return jobs.change(tx, call.caller, job.id, spec, call.now)

    job = await call.write(work)
    await inquiry.learn_soon(call, job.id)
    return await _answer(call, job)


async def delete(call: Call) -> Response:
    allow_active = call.flag("allow_active")

    def work(tx: Transaction) -> None:
        jobs.delete(tx, call.caller, call.path("job_id"), call.now, allow_active=allow_active)

    await call.write(work)
    return Response(status_code=204)


async def versions(call: Call) -> Response:
    found = await call.read(lambda tx: jobs.versions(tx, call.caller, call.path("job_id")))
    return Json({"versions": [version_json(version) for version in found]})


async def start(call: Call) -> Response:
    """One validation, one transaction; the answer is the job with its new run, or, if the caller
    waits, with the run as it ended (200) or as it is by then (202)."""
    seconds = waiting.wanted(call)
    if seconds is not None:
        require_scope(call.caller, "runs:read", call.path("job_id"))
    request = start_request(call, await call.object())

    def work(tx: Transaction) -> runs.Started:
        run = runs.start(tx, call.caller, call.path("job_id"), request, call.now, call.server.keys)
        return runs.started(tx, call.caller, run)

    call.server.site.capacity.require_room()
    made = await inquiry.started(call, call.path("job_id"), lambda: call.write(work))
    if seconds is not None:
        return await _waited(call, made.run.run.id, seconds)
    answer = job_json(call.server, made.job)
    answer["run"] = run_view_json(call.server, made.run, call.now)
    return Json(answer, headers={"Location": answer["run"]["url"]})


async def _waited(call: Call, run_id: str, seconds: int) -> Response:
    """The job with the run, its outcome and its result, once it has ended or time is up."""
    view = await waiting.ended(call, run_id, seconds)
    job = (await call.read(lambda tx: jobs.views(tx, [view.job])))[0]
    run = await waiting.run_json_with_result(call, view)
    over = view.run.state in TERMINAL
    address = f"{call.server.site.url}/api/runs/{run_id}"
    headers = {"Location": address, "Preference-Applied": f"wait={seconds}"}
    answer = {**job_json(call.server, jobs.for_eyes(call.caller, job)), "run": run}
    return Json(answer, status_code=200 if over else 202, headers=headers)


def start_request(call: Call, body: dict[str, Any]) -> runs.StartRequest:
    """What the body of a start says; Invalid names what is wrong. `debug_mode` is the compatible
    contract's: it is accepted and changes nothing, since nobody can log in to a run here."""
    parameters = body.pop("parameters", None) or {}
    scheduled_for = body.pop("scheduled_for", None)
    debug_mode = body.pop("debug_mode", None)
    wrong = dict.fromkeys(body, "is not known; a start takes {'parameters': {…}}")
    if not isinstance(debug_mode, bool | None):
        wrong["debug_mode"] = "write true or false"
    if not isinstance(parameters, dict):
        wrong["parameters"] = "write an object such as {'name': 1}"
    try:
        at = None if scheduled_for is None else INSTANT.validate_python(scheduled_for)
    except ValidationError:
        wrong["scheduled_for"] = "write an instant with its offset, such as 2026-01-31T06:00:00Z"
    if wrong:
        raise Invalid("cannot start", details=wrong)
    from_cli = call.request.headers.get("x-runhook-trigger") == "cli"
    return runs.StartRequest(
        Trigger.CLI if from_cli else Trigger.API,
        parameters,
        call.request.headers.get("idempotency-key"),
        scheduled_for=at,
    )


async def stop(call: Call) -> Response:
    def work(tx: Transaction) -> Job:
        return runs.cancel_all(tx, call.caller, call.path("job_id"), call.now)

    return await _answer(call, await call.write(work))


async def schedule(call: Call) -> Response:
    return await _paused(call, False)


async def unschedule(call: Call) -> Response:
    return await _paused(call, True)


async def _paused(call: Call, paused: bool) -> Response:
    def work(tx: Transaction) -> Job:
        return jobs.pause(tx, call.caller, call.path("job_id"), paused, call.now)

    return await _answer(call, await call.write(work))


async def _answer(call: Call, job: Job, status: int = 200) -> Response:
    def look(tx: Transaction) -> tuple[JobView, KnownContract]:
        return jobs.views(tx, [job], RECENT)[0], contracts.of_job(tx, job)

    view, known = await call.read(look)
    answer = job_json(call.server, jobs.for_eyes(call.caller, view))
    if call.caller.scoped("jobs:read", job.id):
        answer |= {"contract": known.parameters_json(), "contract_from": known.about_notebook()}
    return Json(answer, status_code=status)
