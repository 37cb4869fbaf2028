"""What is known of the contracts of jobs, and how it is learnt: from the repository when a job is
saved or a start asks for more than is known, and from the runner of every run.
"""

from datetime import datetime, timedelta
from typing import Any

from runhook.keys import Keys
from runhook.model.job import Job
from runhook.model.known_contract import (
    LARGEST_CELL,
    KnownContract,
    NotebookPlace,
    Told,
    known_contract,
    place_of,
)
from runhook.model.run import Run, Trigger
from runhook.runner.inspection import Answer, Request
from runhook.runner.spec import Places
from runhook.services import inspections
from runhook.store import contracts, jobs
from runhook.store.database import Transaction

AGAIN = timedelta(seconds=1)
"""A notebook that was looked into no longer ago is not looked into again."""
TOO_LONG = f"its cell tagged `parameters` is longer than {LARGEST_CELL} characters"


def of_job(tx: Transaction, job: Job, problem: str | None = None) -> KnownContract:
    """The contract of a job as far as it is known now. `problem`: why no more is known."""
    told = contracts.get_told(tx, job.id) if job.spec.notebook else None
    return known_contract(job.spec, told, problem)


def is_unknown(known: KnownContract, job: Job) -> bool:
    """Has nobody looked into the job's notebook yet?"""
    return known.told is None and place_of(job.spec) is not None


def question(
    tx: Transaction, keys: Keys, places: Places, job_id: str, now: datetime
) -> tuple[NotebookPlace, Request] | None:
    """What to ask of the job's repository; None if no repository brings its notebook, or it was
    asked just now. Its owner's credential is used, as a run would."""
    job = jobs.any_job(tx, job_id)
    place = place_of(job.spec) if job else None
    if job is None or place is None:
        return None
    told = contracts.get_told(tx, job.id)
    if told and told.place == place.json() and abs(now - told.told_at) < AGAIN:
        return None
    request = inspections.for_file(tx, keys, places, job.owner, place.repository, place.path, now)
    return place, request


def note_answer(
    tx: Transaction, job_id: str, place: NotebookPlace, answer: Answer, now: datetime
) -> None:
    """Keep what the repository answered, unless the job was changed or removed meanwhile."""
    found = answer.inspection
    outline = found.document.outline if found and found.document else None
    _keep(
        tx,
        job_id,
        place.json(),
        found.commit if found else None,
        outline.parameters if outline else None,
        (outline.problem if outline else None) or answer.error,
        now,
    )


def note_run(tx: Transaction, run: Run, data: dict[str, Any], now: datetime) -> None:
    """Keep what a runner found in the notebook at the commit it checked out. A run of another
    notebook than the job's present one, and a replay, which looks at the past, tell nothing."""
    version = jobs.get_version(tx, run.job_id, run.job_version)
    place = place_of(version.spec) if version else None
    if place is None or run.trigger == Trigger.REPLAY:
        return
    told = [data.get(name) for name in ("commit", "cell", "problem")]
    commit, cell, problem = (each if isinstance(each, str) else None for each in told)
    _keep(tx, run.job_id, place.json(), commit and commit[:64], cell, problem, now)


def _keep(
    tx: Transaction,
    job_id: str,
    place: dict[str, Any],
    commit: str | None,
    cell: str | None,
    problem: str | None,
    now: datetime,
) -> None:
    job = jobs.any_job(tx, job_id)
    present = place_of(job.spec) if job else None
    known = contracts.get_told(tx, job_id)
    if present is None or present.json() != place or (known and known.told_at > now):
        return
    if cell is not None and len(cell) > LARGEST_CELL:
        cell, problem = None, TOO_LONG
    contracts.keep_told(tx, job_id, Told(place, commit, cell, problem, now))
