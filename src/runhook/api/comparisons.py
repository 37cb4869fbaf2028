"""Two runs beside each other: `GET /api/runs/{run_id}/compare/{other_id}`.

Every pair is {name, this, other, same}; `same` is null for secret parameters. Commits that differ
have a `link` to the forge's own comparison, if the forge is known, and the `log` between them,
newest first and at most 100, if the server's mirror has it: {commit, author, at, subject}. Diffs
are texts, line by line from the other run to this one; long texts are cut before they are compared
(20 000 characters, 1000 lines; notebooks of up to 16 MiB, 500 cells), which the diff says.
"""

import asyncio
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from runhook import inquiry
from runhook.api.call import Call, Json, Route
from runhook.model.comparison import Pair
from runhook.model.job import Job
from runhook.model.notebook_diff import Cell, CellPair
from runhook.services import comparisons, runs
from runhook.services.comparisons import Comparison, Side
from runhook.store.database import Transaction


async def compare(call: Call) -> Response:
    one, two, now = call.path("run_id"), call.path("other_id"), call.now

    def look(tx: Transaction) -> tuple[Side, Side, Job]:
        this, other = comparisons.sides(tx, call.caller, one, two, now)
        return this, other, runs.get_with_job(tx, call.caller, one, "runs:read")[1]

    this, other, job = await call.read(look)
    found = await asyncio.to_thread(comparisons.comparison, this, other, call.server.site)
    commits = await inquiry.with_logs(call, job.owner, found.commits)
    return Json(_comparison_json(replace(found, commits=commits)))


def _comparison_json(found: Comparison) -> dict[str, Any]:
    lists = {
        name: [_pair_json(each) for each in getattr(found, name)]
        for name in ("parameters", "commits", "outcome", "steps")
    }
    return {
        "run": found.this.run.id,
        "with": found.other.run.id,
        **lists,
        "definition": {
            "this": found.this.run.job_version,
            "other": found.other.run.job_version,
            "diff": found.definition,
        },
        "packages": vars(found.packages) if found.packages else None,
        "notebook": found.notebook,
        "no_notebook": found.no_notebook,
        "cells": [_cells_json(each) for each in found.cells],
        "result_diff": found.result,
    }


def _pair_json(pair: Pair) -> dict[str, Any]:
    shown = {"name": pair.name, "this": pair.this, "other": pair.other, "same": pair.same}
    if pair.url:
        log = None if pair.log is None else list(pair.log)
        shown |= {"link": pair.link, "log": log}
    return shown


def _cells_json(pair: CellPair) -> dict[str, Any]:
    return {
        "title": pair.title,
        "same": pair.same,
        "this": _cell_json(pair.this),
        "other": _cell_json(pair.other),
        "source_diff": pair.source,
        "outputs_diff": pair.outputs,
    }


def _cell_json(cell: Cell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    return {"number": cell.number, "status": cell.status, "seconds": cell.seconds}


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/runs/{run_id}/compare/{other_id}",
        "runs:read",
        compare,
        "What differs between two runs of a job.",
    ),
)
