"""What a run left, for whoever may see the run: where it is kept, and why there is nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runhook import artifacts
from runhook.artifacts import NotThere, Withheld
from runhook.errors import NotFound
from runhook.model.access import Caller
from runhook.model.run import TERMINAL, Attempt, Run
from runhook.runner.spec import executed_name
from runhook.services import runs
from runhook.services.site import Site
from runhook.store import attempts, jobs
from runhook.store.database import Transaction

HOW = "A run returns what it writes, as JSON, to the file that RUNHOOK_RESULT names."
LATER = "Ask again when it has ended; a start with ?wait=30 waits for it."


@dataclass(frozen=True)
class Left:
    """A run, the attempt that is asked for (None: there is none yet), the notebook that its
    definition names, and whether the work was given secrets."""

    run: Run
    attempt: Attempt | None
    notebook: str | None
    secrets: bool

    def directory(self, site: Site) -> Path:
        """Where the attempt's files are. NotFound if there are none, and why."""
        if self.run.pruned_at:
            raise NotFound(f"the files of run {self.run.id} were removed by retention")
        if self.attempt is None:
            raise NotFound(f"run {self.run.id} has no files yet: it is {self.run.state}")
        return site.directory(self.attempt.id)


def left_by(tx: Transaction, caller: Caller, run_id: str, number: int = 0) -> Left:
    """What a run left; of attempt `number`, or (0) of the latest. NotFound if there is no such
    run or attempt."""
    run = runs.get(tx, caller, run_id)
    version = jobs.get_version(tx, run.job_id, run.job_version)
    found = attempts.list_attempts(tx, run.id)
    chosen = [each for each in found if number in (0, each.number)]
    if number and not chosen:
        raise NotFound(f"run {run.id} has no attempt {number}")
    notebook = version.spec.notebook if version else None
    secrets = bool(version is None or version.spec.secrets or run.secret_parameters)
    return Left(run, chosen[-1] if chosen else None, notebook, secrets)


def withheld(left: Left, site: Site) -> Withheld:
    """Which artifacts are not given out: notebooks that work with secrets wrote, until the runner
    has masked them, which it has when there is a result. Of an attempt that was lost without one
    they never are. The notebook that the runner itself executes is masked as it is written."""
    if not left.secrets or left.attempt is None or _collected(left.directory(site)):
        return lambda _: False
    own = left.notebook and executed_name(left.notebook)
    return lambda path: path.endswith(".ipynb") and path != own


def _collected(directory: Path) -> bool:
    return (directory / "result.json").exists()


def why_withheld(left: Left) -> str:
    """A sentence for whoever asks for such a notebook."""
    if left.attempt and left.attempt.state in TERMINAL:
        return (
            "the job has secrets, and the attempt ended without a result, so they were not masked "
            "in the notebooks that it wrote: these are not given out"
        )
    return "the job has secrets, and notebooks are given out when they are masked, at the end"


def value_of(left: Left, site: Site) -> Any:
    """What the run returned. NotFound if it returned nothing, and what would be needed."""
    if left.run.state not in TERMINAL:
        raise NotFound(
            f"run {left.run.id} has returned nothing yet: it is {left.run.state}", hint=LATER
        )
    try:
        return artifacts.read_value(left.directory(site))
    except NotThere as error:
        raise NotFound(f"run {left.run.id} returned nothing: {error}", hint=HOW) from None


def executed_notebook(left: Left) -> bytes:
    """The artifact that is the executed notebook. NotFound if the job runs a command."""
    if left.notebook is None:
        raise NotFound(
            f"run {left.run.id} executed no notebook of its job: it ran a command",
            hint="Notebooks that a command wrote are among its artifacts.",
        )
    return executed_name(left.notebook).encode()
