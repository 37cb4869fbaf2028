"""Executing a notebook natively: parameters in, cells executed, the executed notebook out.

    document    found, read, judged       kernel      what a started kernel is (the seam)
    sources     JSON or text, ids         marimo      what marimo executes itself
    language    in which it is written    kernels     which one, and how it is started
    injection   parameters put in, as     kernelspecs where other languages' are found
                literals (of languages)
    execution   from the first cell to    cold        one that is started for this notebook
                whatever ends it          client      our end of its channels
    endings     what an end means         cells       one cell after another, by its messages
    record      what is noted of cells    outputs     what it publishes, made fit for a notebook
    warm        one that was forked ahead
    journal     told to the server        terminal    a stream as it looks on a terminal
    live        the file that grows       spill       what is too large, as artifacts
    returned    what the run returns      text        outputs as lines of a log

The kernel comes from the job's environment, whatever the notebook's metadata names, and is reached
over IPC sockets. The executed notebook is true on every ending.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from nbformat import NotebookNode

from runhook.runner.held import Hold
from runhook.runner.notebook.document import (
    clear_outputs,
    find_notebook,
    of_marimo,
    read_notebook,
)
from runhook.runner.notebook.execution import Execution
from runhook.runner.notebook.injection import inject
from runhook.runner.notebook.journal import Journal
from runhook.runner.notebook.kernel import Launch
from runhook.runner.notebook.language import language_of
from runhook.runner.notebook.live import LiveDocument
from runhook.runner.notebook.marimo import run_marimo
from runhook.runner.notebook.outputs import Outputs
from runhook.runner.notebook.record import Record
from runhook.runner.notebook.spill import Spill
from runhook.runner.process import Control
from runhook.runner.report import Reporter
from runhook.runner.scratch import KEPT
from runhook.runner.spec import RunSpec, executed_name
from runhook.runner.warm.start import WarmStart


def run_notebook(
    spec: RunSpec,
    workspace: Path,
    variables: Mapping[str, str],
    python: Path,
    reporter: Reporter,
    control: Control,
    sockets: Path,
    warm: WarmStart | None = None,
    hold: Hold | None = None,
) -> bytes | None:
    """Execute the notebook in its own folder; it is kept among the artifacts on every ending.
    `sockets` is an empty folder with a short path; with `hold` the kernel of one that failed stays.
    What it returns, as JSON, if it does.

    StepFailed names the cell that failed, or why the kernel is gone.
    """
    assert spec.notebook is not None
    source = find_notebook(workspace, spec.notebook)
    target = Path(spec.directory) / KEPT / executed_name(spec.notebook)
    marimo = of_marimo(workspace, source)
    none = NotebookNode()  # type: ignore[no-untyped-call]
    notebook = none if marimo else read_notebook(workspace, source, spec.notebook)
    launch = Launch(
        spec, notebook, source.parent, python, variables, sockets, control, reporter, warm, hold
    )
    if marimo:
        if warm:
            warm.decline("a marimo notebook has no kernel")
        run_marimo(launch, source, target)
        return None
    clear_outputs(notebook)
    _inject(launch)
    return _execute(launch, target)


def _inject(launch: Launch) -> None:
    notebook, spec = launch.notebook, launch.spec
    unwritten = inject(notebook, spec.parameters, spec.secret_parameters)
    if unwritten:
        names = ", ".join(unwritten)
        message = f"{language_of(notebook)} notebooks get parameters by environment variables only"
        launch.reporter.emit("notice", message=f"{message}: {names}")


def _execute(launch: Launch, target: Path) -> bytes | None:
    directory, masker = Path(launch.spec.directory), launch.reporter.masker
    journal = Journal(directory, masker)
    live = LiveDocument(launch.notebook, target, masker, journal.output)
    outputs = Outputs(Spill(target.parent, masker), masker, live.has_room)
    live.prepare = outputs.refresh
    execution = Execution(launch, live, Record(live, journal, launch.spec), outputs)
    asyncio.run(execution.run())
    return execution.returned.as_json()
