"""Executing a notebook natively: parameters in, cells executed, the executed notebook out.

    document    read and judged           kernel      what a started kernel is (the seam)
    injection   parameters put in         kernels     which one, and how it is started
    live        the file that grows       cold        one that is started for this notebook
    warm        one that was forked ahead
    execution   from the first cell to    client      our end of its channels
                whatever ends it          cells       one cell after another, by its messages

The kernel comes from the job's environment, whatever the notebook's metadata names, and is reached
over IPC sockets. The executed notebook is true on every ending.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from runhook.runner.notebook.document import clear_outputs, find_notebook, read_notebook
from runhook.runner.notebook.execution import Execution
from runhook.runner.notebook.injection import inject
from runhook.runner.notebook.kernel import Launch
from runhook.runner.notebook.live import LiveDocument
from runhook.runner.process import Control
from runhook.runner.report import Reporter
from runhook.runner.spec import RunSpec
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
) -> None:
    """Execute the notebook in its own folder; it is kept among the artifacts on every ending.
    `sockets` is an empty folder with a short path.

    StepFailed names the cell that failed, or why the kernel is gone.
    """
    assert spec.notebook is not None
    source = find_notebook(workspace, spec.notebook)
    notebook = read_notebook(workspace, source, spec.notebook)
    inject(notebook, spec.parameters)
    clear_outputs(notebook)
    target = Path(spec.directory) / "artifacts" / source.name
    live = LiveDocument(notebook, target, reporter.masker)
    launch = Launch(
        spec, notebook, source.parent, python, variables, sockets, control, reporter, warm
    )
    asyncio.run(Execution(launch, live).run())
