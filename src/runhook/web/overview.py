"""Pages across jobs: runs by filters that stand in the address, what fires when, and the server."""

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from runhook.disk import space
from runhook.model.run import ACTIVE, RunState, Trigger
from runhook.services import jobs, overview, runs
from runhook.store.database import Transaction
from runhook.web import charts
from runhook.web.ask import Ask, go

RUNS, SHOWN, MOST_AT_ONCE = "/dash/runs", 50, 200
VIEWS = (
    ("All", ""),
    ("Active", "state=queued&state=starting&state=running"),
    ("Not good", "state=failed&state=timed_out&state=lost"),
    ("By schedule", "trigger=schedule"),
)
"""Filters that most people want, by their names."""


async def runs_page(ask: Ask) -> Response:
    """Filters that mean nothing are left out, as if they had not been there."""
    states = [RunState(each) for each in _chosen(ask, "state", [*RunState])]
    triggers = [Trigger(each) for each in _chosen(ask, "trigger", [*Trigger])]
    job_id, before = ask.query("job"), ask.query("before")

    def work(tx: Transaction) -> dict[str, Any]:
        edge = runs.get(tx, ask.caller, before) if before else None
        found = runs.list_page(
            tx,
            ask.caller,
            size=SHOWN + 1,
            job_id=job_id or None,
            states=states or None,
            triggers=triggers or None,
            after=(edge.created_at, edge.id) if edge else None,
        )
        return {
            "runs": found[:SHOWN],
            "older": found[SHOWN - 1].id if len(found) > SHOWN else "",
            "names": overview.named(tx, found),
            "job": jobs.get(tx, ask.caller, job_id) if job_id else None,
            "load": overview.load(tx, ask.caller, ask.now),
        }

    values = await ask.read(work)
    query = [(name, each) for name in ("state", "trigger") for each in _all(ask, name)]
    query += [("job", job_id)] if job_id else []
    return ask.page(
        "runs.html",
        **values,
        states=states,
        triggers=triggers,
        all_states=[*RunState],
        all_triggers=[*Trigger],
        active=ACTIVE,
        views=VIEWS,
        query=urlencode(query),
        chart=charts.load(values["load"]),
    )


def _all(ask: Ask, name: str) -> list[str]:
    return ask.request.query_params.getlist(name)


def _chosen(ask: Ask, name: str, known: list[Any]) -> list[str]:
    return [each for each in _all(ask, name) if each in known]


async def cancel_runs(ask: Ask) -> Response:
    """Cancel those that were ticked, all or none."""
    form = await ask.form()
    chosen = [str(each) for each in form.getlist("run")][:MOST_AT_ONCE]
    await ask.write(lambda tx: overview.cancel_many(tx, ask.caller, chosen, ask.now))
    back = str(form.get("back") or "")
    return go(f"{RUNS}?{back}" if back and back.isprintable() else RUNS)


async def schedules_page(ask: Ask) -> Response:
    now = ask.now
    found = await ask.read(lambda tx: overview.planned(tx, ask.caller, now))
    strips = {each.armed.id: charts.day(each, now) for each in found}
    fires = [(fire, each) for each in _few(found) for fire in each.fires]
    coming = sorted(fires, key=lambda pair: pair[0])
    return ask.page(
        "schedules.html",
        most=overview.MOST_SCHEDULES,
        plans=found,
        strips=strips,
        coming=coming[:SHOWN],
        more=len(coming) > SHOWN,
    )


def _few(found: list[overview.Planned]) -> list[overview.Planned]:
    """Those that do not fire so often that a list of fires would show nothing else."""
    return [each for each in found if not each.often]


async def system_page(ask: Ask) -> Response:
    """How the server is: for its administrators."""
    server = ask.server
    counts = await ask.read(lambda tx: overview.active(tx, ask.caller))
    load = await ask.read(lambda tx: overview.load(tx, ask.caller, ask.now))
    findings = await server.health()
    return ask.page(
        "system.html",
        counts=counts,
        capacity=server.site.capacity,
        obstacle=server.site.capacity.obstacle(),
        disk=space(server.site.attempts.parent),
        findings=findings,
        chart=charts.load(load),
        load=load,
    )


PAGES = (
    ("GET", RUNS, "runs:read", runs_page),
    ("POST", f"{RUNS}/cancel", "runs:cancel", cancel_runs),
    ("GET", "/dash/schedules", "jobs:read", schedules_page),
    ("GET", "/dash/system", "system:read", system_page),
)
