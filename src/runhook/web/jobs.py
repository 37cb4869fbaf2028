"""The pages of jobs: the list, one job, its form, its end."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import FormData
from starlette.responses import Response

from runhook import inquiry
from runhook.errors import Conflict, Invalid
from runhook.model.job import Job, JobSpec
from runhook.model.known_contract import KnownContract
from runhook.model.run import Run, Trigger
from runhook.services import contracts, jobs, members, runs, schedules, tokens
from runhook.services.access import require_scope
from runhook.services.jobs import JobView
from runhook.services.possible import require_possible
from runhook.store.database import Transaction
from runhook.web import charts
from runhook.web.ask import Ask, go
from runhook.web.forms import form_as_typed, form_of_spec, spec_of_form
from runhook.web.rules import rules_of
from runhook.web.snippets import snippets
from runhook.web.start_form import as_typed, fields, start_parameters
from runhook.web.view import SPARK_BARS, may

PAGE, RECENT, SHOWN = 50, 26, 25


async def list_page(ask: Ask) -> Response:
    name, after = ask.query("name"), ask.query("after")

    def work(tx: Transaction) -> list[JobView]:
        edge = (after, "~") if after else None
        found = jobs.list_page(tx, ask.caller, size=PAGE + 1, name=name, after=edge)
        return jobs.views(tx, found, durations=SPARK_BARS)

    found = await ask.read(work)
    more = found[PAGE - 1].job.name if len(found) > PAGE else ""
    newest = [each.last for each in found if each.last and each.job.spec.notebook]
    progress = await ask.progress(newest)
    return ask.page("jobs.html", views=found[:PAGE], name=name, more=more, progress=progress)


async def job_page(ask: Ask) -> Response:
    return await _job_page(ask)


async def _job_page(ask: Ask, status: int = 200, **values: Any) -> Response:
    before = ask.query("before")

    def work(tx: Transaction) -> tuple[JobView, list[Run], KnownContract]:
        job = jobs.get(tx, ask.caller, ask.path("job_id"))
        view, known = jobs.views(tx, [job], RECENT)[0], contracts.of_job(tx, job)
        if not before:
            require_scope(ask.caller, "runs:read", job.id)
            return view, view.recent[: SHOWN + 1], known
        edge = runs.get(tx, ask.caller, before)
        page = (edge.created_at, edge.id)
        found = runs.list_page(tx, ask.caller, size=SHOWN + 1, job_id=job.id, after=page)
        return view, found, known

    view, found, known = await ask.read(work)
    if "typed" not in values and (past := ask.query("from")):
        values["typed"] = await _as_given(ask, known, view.job, past)
    start_url = f"{ask.server.site.url}/api/jobs/{view.job.id}/start"
    made: str | None = values.setdefault("made", None)
    return ask.page(
        "job.html",
        status,
        view=view,
        job=view.job,
        spec=view.job.spec,
        runs=found[:SHOWN],
        older=found[SHOWN - 1].id if len(found) > SHOWN else "",
        before=before,
        tour=bool(ask.query("tour")),
        chart=charts.durations(view.recent, ask.now),
        rules=rules_of(view.job.spec),
        progress=await ask.progress(found if view.job.spec.notebook else ()),
        sizes=ask.server.site.sizes,
        previews=[schedules.preview(armed, ask.now) for armed in view.schedules],
        start_url=start_url,
        known=known,
        fields=fields(known, values.pop("typed", None)),
        snippets=snippets(start_url, known.example(), made),
        **{"error": "", "details": {}, "backfill_error": "", **values},
    )


async def _as_given(ask: Ask, known: KnownContract, job: Job, run_id: str) -> FormData | None:
    """What had to be typed to give what an earlier run of the job was given; no secrets."""

    def work(tx: Transaction) -> Run:
        return runs.get(tx, ask.caller, run_id)

    run = await ask.read(work)
    return as_typed(known, run.shown_parameters) if run.job_id == job.id else None


async def backfill(ask: Ask) -> Response:
    """Run a schedule as of the past."""
    form, job_id = await ask.form(), ask.path("job_id")
    await ask.read(lambda tx: jobs.get(tx, ask.caller, job_id, "jobs:start"))
    try:
        position = int(str(form.get("schedule") or 0))
        begin, until = (
            datetime.fromisoformat(str(form.get(name))).replace(tzinfo=UTC)
            for name in ("from", "until")
        )
        ask.server.site.capacity.require_room()
        await ask.write(
            lambda tx: schedules.backfill(tx, ask.caller, job_id, position, begin, until, ask.now)
        )
    except Invalid as error:
        sentence = f"{error.message}: {', '.join(error.details.values())}"
        return await _job_page(ask, 422, backfill_error=sentence)
    except ValueError:
        sentence = "Write instants such as 2026-01-31T06:00."
        return await _job_page(ask, 422, backfill_error=sentence)
    return go(f"/dash/resources/job/{job_id}")


async def make_token(ask: Ask) -> Response:
    """A token for this job alone, shown in this answer and never again."""
    job_id = ask.path("job_id")
    issued = await ask.write(lambda tx: tokens.make_for_job(tx, ask.caller, job_id, ask.now))
    return await _job_page(ask, made=issued.access)


async def start(ask: Ask) -> Response:
    """Start, and show the run. Wrong parameters come back with what was typed."""
    form = await ask.form()
    job_id = ask.path("job_id")

    def work(tx: Transaction) -> Run:
        job = jobs.get(tx, ask.caller, job_id)
        given = start_parameters(form, contracts.of_job(tx, job))
        request = runs.StartRequest(Trigger.WEB, given)
        return runs.start(tx, ask.caller, job_id, request, ask.now, ask.server.keys)

    ask.server.site.capacity.require_room()
    try:
        run = await inquiry.started(ask, job_id, lambda: ask.write(work))
    except Invalid as error:
        details = {name.removeprefix("parameters."): text for name, text in error.details.items()}
        return await _job_page(ask, 422, error=error.message, details=details, typed=form)
    return go(f"/dash/runs/{run.id}")


async def stop(ask: Ask) -> Response:
    job_id = ask.path("job_id")
    await ask.write(lambda tx: runs.cancel_all(tx, ask.caller, job_id, ask.now))
    return go(f"/dash/resources/job/{job_id}")


async def pause(ask: Ask) -> Response:
    job_id, paused = ask.path("job_id"), (await ask.form()).get("paused") == "yes"
    await ask.write(lambda tx: jobs.pause(tx, ask.caller, job_id, paused, ask.now))
    return go(f"/dash/resources/job/{job_id}")


async def new_page(ask: Ask) -> Response:
    """An empty form, or one that is filled like a job that the caller sees (`?like=`)."""
    like, spec = ask.query("like"), None
    if like:
        spec = (await ask.read(lambda tx: jobs.get(tx, ask.caller, like))).spec
    values = form_of_spec(spec)
    return await _form(ask, None, values | ({"name": f"{values['name']}-copy"} if spec else {}))


async def edit_page(ask: Ask) -> Response:
    job = await ask.read(lambda tx: jobs.get(tx, ask.caller, ask.path("job_id"), "jobs:write"))
    return await _form(ask, job, form_of_spec(job.spec))


async def create(ask: Ask) -> Response:
    return await _save(ask, None)


async def change(ask: Ask) -> Response:
    job = await ask.read(lambda tx: jobs.get(tx, ask.caller, ask.path("job_id"), "jobs:write"))
    return await _save(ask, job)


async def _save(ask: Ask, known: Job | None) -> Response:
    form = await ask.form()
    starts = form.get("then") == "start"
    if starts:
        ask.server.site.capacity.require_room()

    def work(tx: Transaction, spec: JobSpec) -> Job:
        if known:
            return jobs.change(tx, ask.caller, known.id, spec, ask.now)
        return jobs.create(tx, ask.caller, spec, ask.now)

    try:
        spec = jobs.parse_spec(spec_of_form(form, known.spec if known else None))
        require_possible(spec, ask.server.site)
        job = await ask.write(lambda tx: work(tx, spec))
        await inquiry.learn_soon(ask, job.id)
    except (Invalid, Conflict) as error:
        return await _form(
            ask, known, form_as_typed(form), error.status, error.message, error.details
        )
    if starts:
        request = runs.StartRequest(Trigger.WEB)
        try:
            await ask.write(lambda tx: runs.start(tx, ask.caller, job.id, request, ask.now))
        except Invalid:  # it needs values first: its page asks for them
            return go(f"/dash/resources/job/{job.id}#start")
    return go(f"/dash/resources/job/{job.id}")


async def form_page(ask: Ask, values: dict[str, Any], notes: Sequence[str]) -> Response:
    """The form of a new job, filled in, with where that comes from."""
    return await _form(ask, None, values, notes=notes)


async def _form(
    ask: Ask,
    job: Job | None,
    values: dict[str, Any],
    status: int = 200,
    error: str = "",
    details: dict[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Response:
    by_field: dict[str, list[str]] = {}
    for path, sentence in (details or {}).items():
        by_field.setdefault(path.partition(".")[0], []).append(sentence)
    values = {"job": job, "v": values, "error": error, "wrong": by_field, "notes": notes}
    return ask.page("job_form.html", status, owners=await _owners(ask, job), **values)


async def _owners(ask: Ask, job: Job | None) -> list[str]:
    """For whom the caller may make a job; one that is there stays where it is."""
    if job is not None:
        return []
    found = await ask.read(lambda tx: members.owners(tx, ask.caller))
    return [each.name for each in found if may(ask.caller, "jobs:write", each.name)]


async def delete_page(ask: Ask) -> Response:
    def work(tx: Transaction) -> tuple[Job, list[Run]]:
        job = jobs.get(tx, ask.caller, ask.path("job_id"), "jobs:write")
        return job, runs.list_page(tx, ask.caller, size=1, job_id=job.id)

    job, newest = await ask.read(work)
    return ask.page("delete.html", job=job, runs=newest[0].number if newest else 0)


async def delete(ask: Ask) -> Response:
    job_id = ask.path("job_id")
    await ask.write(lambda tx: jobs.delete(tx, ask.caller, job_id, ask.now, allow_active=True))
    return go("/dash")
