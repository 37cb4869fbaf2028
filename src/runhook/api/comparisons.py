"""Two runs beside each other: `GET /api/runs/{run_id}/compare/{other_id}`.

Every pair is {name, this, other, same}; `same` is null for secret parameters. Diffs are texts, line
by line from the other run to this one; long texts are cut before they are compared (20 000
characters, 1000 lines; notebooks of up to 16 MiB, 500 cells), which the diff says.
"""

import asyncio
from typing import Any

from starlette.responses import Response

from runhook.api.call import Call, Json, Route
from runhook.model.comparison import Pair
from runhook.model.notebook_diff import Cell, CellPair
from runhook.services import comparisons
from runhook.services.comparisons import Comparison


async def compare(call: Call) -> Response:
    one, two, now = call.path("run_id"), call.path("other_id"), call.now
    this, other = await call.read(lambda tx: comparisons.sides(tx, call.caller, one, two, now))
    found = await asyncio.to_thread(comparisons.comparison, this, other, call.server.site)
    return Json(_comparison_json(found))


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
    return shown | ({"link": pair.link} if pair.link else {})


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
