"""The page of a run: its outcome, where its time went, its log."""

import asyncio
import re

from starlette.responses import Response

from runhook import logs
from runhook.model.run import TERMINAL, Run
from runhook.runner import held as kernels
from runhook.services import held, results, retention, runs
from runhook.store.database import Transaction
from runhook.web.ask import Ask, go
from runhook.web.cells import viewer
from runhook.web.kept import kept_by
from runhook.web.reproduce import Recipe, recipe_of

TAIL = 64 * 1024
COMPARED = 26
ESCAPES = re.compile(
    r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-_])|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


async def run_page(ask: Ask) -> Response:
    capacity, now = ask.server.site.capacity, ask.now
    view = await ask.read(lambda tx: runs.view(tx, ask.caller, ask.path("run_id"), capacity, now))
    chosen = next(
        (each for each in view.attempts if str(each.number) == ask.query("attempt")), view.attempt
    )
    offset, text = 0, ""
    if chosen:
        path = ask.server.site.directory(chosen.id) / "log"
        offset = max(0, logs.size(path) - TAIL)
        text = plain(logs.read(path, offset, TAIL))
    run_id, number = view.run.id, chosen.number if chosen else 0
    left = await ask.read(lambda tx: results.left_by(tx, ask.caller, run_id, number))
    kept = await asyncio.to_thread(kept_by, left, ask.server.site)
    live = view.run.state not in TERMINAL
    recipe, others = await ask.read(lambda tx: _reproduce(ask, tx, view.run))
    return ask.page(
        "run.html",
        viewer=await viewer(ask, left, kept.files, live),
        progress=(await ask.progress([view.run])).get(run_id),
        recipe=recipe,
        others=others,
        kept=kept,
        held_until=await asyncio.to_thread(held.held_until, view, ask.server.site),
        view=view,
        run=view.run,
        job=view.job,
        chosen=chosen,
        steps=view.waterfall(ask.now),
        ended=not live,
        enforced=_enforced(view),
        log=text,
        log_from=offset,
    )


def _reproduce(ask: Ask, tx: Transaction, run: Run) -> tuple[Recipe, list[Run]]:
    """How to do it again, and which other runs of the job it may be compared with."""
    recent = runs.list_page(tx, ask.caller, size=COMPARED, job_id=run.job_id)
    others = [each for each in recent if each.id != run.id]
    return recipe_of(tx, ask.caller, run, ask.server.site.url), others


def _enforced(view: runs.RunView) -> list[str]:
    """What the latest attempt was held to, and what it was not."""
    told = [event.data for event in view.events if event.kind == "limits"][-1:]
    return [
        *(str(each) for data in told for each in data.get("enforced", [])),
        *(f"not enforced: {each}" for data in told for each in data.get("not_enforced", [])),
    ]


async def pin(ask: Ask) -> Response:
    """Keep the run whatever retention says, or no longer."""
    run_id, pinned = ask.path("run_id"), (await ask.form()).get("pinned") == "yes"
    await ask.write(lambda tx: retention.pin(tx, ask.caller, run_id, pinned, ask.now))
    return go(f"/dash/runs/{run_id}")


async def cancel(ask: Ask) -> Response:
    run_id = ask.path("run_id")
    await ask.write(lambda tx: runs.cancel(tx, ask.caller, run_id, ask.now))
    return go(f"/dash/runs/{run_id}")


async def release(ask: Ask) -> Response:
    """Let the kernel of a failed run go."""
    run_id, site = ask.path("run_id"), ask.server.site
    directory = await ask.write(lambda tx: held.release(tx, ask.caller, site, run_id, ask.now))
    if directory:
        await asyncio.to_thread(kernels.release, directory)
    return go(f"/dash/runs/{run_id}")


async def again(ask: Ask) -> Response:
    """The same job with the same parameters, as it is defined now."""
    run_id = ask.path("run_id")
    ask.server.site.capacity.require_room()
    keys = ask.server.keys
    run = await ask.write(lambda tx: runs.again(tx, keys, ask.caller, run_id, ask.now))
    return go(f"/dash/runs/{run.id}")


def plain(data: bytes) -> str:
    """A log as text for a page without scripts: no escape sequences, progress bars as their last
    state."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return ESCAPES.sub("", "\n".join(lines))
