"""Two runs of a job beside each other. `sides` looks into the database, `comparison` then into the
files that the runs left, which takes a thread of its own.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runhook import artifacts
from runhook.artifacts import NotThere
from runhook.errors import Invalid, NotFound
from runhook.model import comparison as facts
from runhook.model import notebook_diff
from runhook.model.access import Caller
from runhook.model.comparison import Packages, Pair
from runhook.model.job import JobSpec
from runhook.model.notebook_diff import Cell, CellPair
from runhook.model.run import Run
from runhook.model.waterfall import waterfall
from runhook.services import results
from runhook.services.results import Left
from runhook.services.site import Site
from runhook.store import attempts, events, locks
from runhook.store import jobs as job_rows
from runhook.store.database import Transaction

LARGEST_NOTEBOOK = 16 * 1024 * 1024
"""Bytes of a notebook that is compared."""
MOST_LISTED = 1000


@dataclass(frozen=True)
class Side:
    """What the database knows of one of the runs; `steps` are seconds by name."""

    run: Run
    spec: JobSpec | None
    lock: str | None
    steps: dict[str, float]
    left: Left


@dataclass(frozen=True)
class Comparison:
    """`packages` is None unless both lists are known; `notebook` is the name of the notebook whose
    `cells` are compared, or None with `no_notebook`, the reason. `result` is None unless both runs
    returned something, `definition` is a diff, empty if it is the same."""

    this: Side
    other: Side
    parameters: list[Pair]
    commits: list[Pair]
    outcome: list[Pair]
    steps: list[Pair]
    definition: str
    packages: Packages | None
    notebook: str | None
    no_notebook: str | None
    cells: list[CellPair]
    result: str | None

    @property
    def odd_cells(self) -> list[CellPair]:
        """Those that differ."""
        return [each for each in self.cells if not each.same]


def sides(
    tx: Transaction, caller: Caller, run_id: str, other_id: str, now: datetime
) -> tuple[Side, Side]:
    """Both runs, for whoever may see them, with their definitions for whoever may read these.
    Invalid unless they are of one job."""
    this, other = (_side(tx, caller, each, now) for each in (run_id, other_id))
    if this.run.job_id != other.run.job_id:
        raise Invalid("cannot compare these runs: they are not of the same job")
    if caller.scoped("jobs:read", this.run.job_id):
        return this, other
    return replace(this, spec=None), replace(other, spec=None)


def _side(tx: Transaction, caller: Caller, run_id: str, now: datetime) -> Side:
    left = results.left_by(tx, caller, run_id)
    run = left.run
    version = job_rows.get_version(tx, run.job_id, run.job_version)
    last = attempts.list_attempts(tx, run.id)[-1:]
    bars = waterfall(run, last[0] if last else None, events.list_events(tx, run.id), now)
    steps = {bar.name: round(bar.seconds, 6) for bar in bars if bar.name != "first_output"}
    lock = locks.get_lock(tx, run.lock_id) if run.lock_id else None
    return Side(run, version.spec if version else None, lock, steps, left)


def comparison(this: Side, other: Side, site: Site) -> Comparison:
    """What differs. Reads files: call it in a thread."""
    one, two = this.run, other.run
    untold = [*(one.secret_parameters or ()), *(two.secret_parameters or ())]
    locked = this.lock is not None and other.lock is not None
    name, why, cells = _cells(this, other, site)
    return Comparison(
        this,
        other,
        facts.pairs(one.shown_parameters, two.shown_parameters, untold),
        facts.commits(one.commits, two.commits),
        facts.pairs(_outcome(one), _outcome(two)),
        facts.pairs(this.steps, other.steps),
        facts.diff(_definition(this), _definition(other)),
        facts.packages(this.lock or "", other.lock or "") if locked else None,
        name,
        why,
        cells,
        _result(this, other, site),
    )


def _outcome(run: Run) -> dict[str, Any]:
    took = run.finished_at and run.started_at and run.finished_at - run.started_at
    return {
        "state": str(run.state),
        "exit code": run.exit_code,
        "step": run.step,
        "reason": run.reason,
        "seconds": round(took.total_seconds(), 3) if took else None,
    }


def _definition(side: Side) -> str:
    return facts.as_text(side.spec.recipe_spec()) if side.spec else ""


def _result(this: Side, other: Side, site: Site) -> str | None:
    try:
        values = [results.value_of(each.left, site) for each in (this, other)]
    except NotFound:
        return None
    return facts.diff_of_values(*values)


def _cells(this: Side, other: Side, site: Site) -> tuple[str | None, str | None, list[CellPair]]:
    """The notebook that both have, or why there is none to compare, and its cells."""
    try:
        names = [_notebooks(each.left, site) for each in (this, other)]
    except NotFound as error:
        return None, error.message, []
    both = [name for name in names[0] if name in names[1]]
    if not both:
        return None, "they left no notebook of the same name", []
    try:
        ours, theirs = (_read(each.left, site, both[0]) for each in (this, other))
    except (NotThere, ValueError, RecursionError) as error:
        return None, f"{both[0]} cannot be compared: {error}", []
    return both[0], None, notebook_diff.compared(ours, theirs)


def _notebooks(left: Left, site: Site) -> list[str]:
    """The notebooks that a run left, first the one that it executed. NotFound if there are no
    files."""
    listing = artifacts.listing(left.directory(site), MOST_LISTED, results.withheld(left, site))
    found = [each.path for each in listing.files if each.path.endswith(".ipynb")]
    with suppress(NotFound):
        executed = results.executed_notebook(left).decode()
        return sorted(found, key=lambda name: name != executed)
    return found


def _read(left: Left, site: Site, name: str) -> list[Cell]:
    descriptor, status = artifacts.open_file(left.directory(site), os.fsencode(name))
    with open(descriptor, "rb") as file:
        if status.st_size > LARGEST_NOTEBOOK:
            raise ValueError(f"it is larger than {LARGEST_NOTEBOOK} bytes")
        return notebook_diff.cells_of(json.loads(file.read(LARGEST_NOTEBOOK)))
