"""Handlers of webhooks, and their rows of the table.

Deliveries come without a token: the gate lets them through, and what they prove themselves with is
checked here, before anything in them is read.
"""

from typing import Any
from urllib.parse import parse_qs

from starlette.responses import Response

from runhook.api.call import PUBLIC, Call, Json, Route
from runhook.api.shapes import run_url
from runhook.errors import Malformed
from runhook.gate import address_of
from runhook.model.job import Job
from runhook.model.run import Run, RunState
from runhook.model.signature import Delivery, secret_text
from runhook.model.trigger import Webhook
from runhook.services import hooks

FORM = "application/x-www-form-urlencoded"


async def receive(call: Call) -> Response:
    """202 with the run that was started, also if this is a delivery that came before; 200 with the
    reason if it is one that starts nothing."""
    delivery = Delivery(call.request.headers, await call.content(), call.now)
    job, hook = await _authenticated(call, delivery)
    wanted = hooks.wanted(hook, delivery, _payload(call, delivery))
    if wanted.ignored:
        return Json({"started": False, "reason": wanted.ignored})
    call.server.site.capacity.require_room()
    address, values = address_of(call.request), wanted.parameters
    keys = call.server.keys
    run = await call.write(lambda tx: hooks.start(tx, job, hook, delivery, values, address, keys))
    return _started(call, run, wanted.notes)


async def _authenticated(call: Call, delivery: Delivery) -> tuple[Job, Webhook]:
    job_id, name = call.path("job_id"), call.path("name")
    found = await call.read(lambda tx: hooks.find(tx, job_id, name))
    return hooks.authenticated(call.server.keys, job_id, name, found, delivery)


def _payload(call: Call, delivery: Delivery) -> dict[str, Any]:
    """The body as a JSON object, also where it is a field of a form, as GitHub can send it."""
    if not delivery.header("content-type").lower().startswith(FORM):
        return call.object_of(delivery.body)
    try:
        fields = parse_qs(delivery.body.decode(), max_num_fields=100)
    except ValueError as error:
        raise Malformed(f"the body is not a form: {error}") from None
    if "payload" not in fields:
        raise Malformed("the form has no field called payload; send JSON instead of a form")
    return call.object_of(fields["payload"][0].encode())


def _started(call: Call, run: Run, notes: list[str]) -> Response:
    """Few words about the run, since they are kept where the sender's people see them."""
    url = run_url(call.server, run.id)
    shown = {"id": run.id, "number": run.number, "url": url, "state": run.state}
    if run.state == RunState.SKIPPED:
        return Json({"started": False, "reason": run.reason, "run": shown})
    return Json(
        {"started": True, "run": shown, "notes": notes}, status_code=202, headers={"Location": url}
    )


async def list_webhooks(call: Call) -> Response:
    job = await call.read(lambda tx: hooks.job_of_hooks(tx, call.caller, call.path("job_id")))
    found = [_webhook_json(call, job, hook) for hook in job.spec.webhooks]
    return Json({"webhooks": found}, headers={"Cache-Control": "no-store"})


def _webhook_json(call: Call, job: Job, hook: Webhook) -> dict[str, Any]:
    secret = call.server.keys.webhook_secret(job.id, hook.webhook)
    return {
        "name": hook.webhook,
        "source": hook.source,
        "url": f"{call.server.site.url}/api/hooks/{job.id}/{hook.webhook}",
        "secret": secret_text(hook, secret),
        "events": hook.wanted_events,
        "branch": hook.branch,
        "parameters": hook.parameters or {},
    }


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/api/hooks/{job_id}/{name}",
        PUBLIC,
        receive,
        "A delivery of a webhook: starts the job. (public: it is signed)",
        body="Payload",
        body_required=False,
        status=202,
        also=(200,),  # it starts nothing
    ),
    Route(
        "GET",
        "/api/jobs/{job_id}/webhooks",
        "jobs:write",
        list_webhooks,
        "Webhooks of a job, with addresses and secrets.",
    ),
)
