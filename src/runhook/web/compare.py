"""The page that shows two runs beside each other."""

import asyncio
from dataclasses import replace

from starlette.responses import Response

from runhook import inquiry
from runhook.model.job import Job
from runhook.services import comparisons, runs
from runhook.services.comparisons import Side
from runhook.store.database import Transaction
from runhook.web.ask import Ask, go


async def choose(ask: Ask) -> Response:
    """From the picker on a run's page to the comparison: `?with=` names the other run; without it,
    back to the page that has the picker."""
    run_id, other = ask.path("run_id"), ask.query("with")

    def work(tx: Transaction) -> list[str]:
        return [runs.get(tx, ask.caller, each).id for each in (run_id, other) if each]

    one, *two = await ask.read(work)
    return go(f"/dash/runs/{one}/compare/{two[0]}" if two else f"/dash/runs/{one}")


async def compare_page(ask: Ask) -> Response:
    one, two, now = ask.path("run_id"), ask.path("other_id"), ask.now

    def work(tx: Transaction) -> tuple[tuple[Side, Side], Job]:
        both = comparisons.sides(tx, ask.caller, one, two, now)
        return both, runs.get_with_job(tx, ask.caller, one, "runs:read")[1]

    (this, other), job = await ask.read(work)
    found = await asyncio.to_thread(comparisons.comparison, this, other, ask.server.site)
    commits = await inquiry.with_logs(ask, job.owner, found.commits)
    found = replace(found, commits=commits)
    return ask.page("compare.html", found=found, job=job, this=this.run, other=other.run)
