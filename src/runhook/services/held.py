"""Kernels of failed runs that are held for a while: who may see and release them.

Connecting is for whoever works as the server's own system user on its machine (`runhook attach`):
whoever is in a kernel may do all that the run might, so its address and key are in no answer.
"""

from datetime import UTC, datetime
from pathlib import Path

from runhook.model.access import Caller
from runhook.model.run import RunState
from runhook.runner import held
from runhook.services import audit, runs
from runhook.services.runs import RunView
from runhook.services.site import Site
from runhook.store import attempts
from runhook.store.database import Transaction


def held_until(view: RunView, site: Site) -> datetime | None:
    """Until when the kernel of the run's last attempt is held; None if none is. Reads a file."""
    if view.run.state != RunState.FAILED or view.attempt is None:
        return None
    if not view.job.spec.hold_failed_kernel:
        return None
    found = held.Held.of(site.directory(view.attempt.id))
    return datetime.fromtimestamp(found.until, UTC) if found else None


def release(tx: Transaction, caller: Caller, site: Site, run_id: str, now: datetime) -> Path | None:
    """Write down that the caller releases what is held of the run: the directory to be given to
    `runner.held.release` after the commit, None if nothing is held."""
    run, job = runs.get_with_job(tx, caller, run_id, "runs:cancel")
    found = attempts.list_attempts(tx, run.id)
    directory = site.directory(found[-1].id) if found else None
    if directory is None or held.Held.of(directory) is None:
        return None
    audit.record_run(tx, caller, "run.released", run, job, now)
    return directory
