"""Notebooks of marimo's: run by the marimo of the job's environment, once, as a program.

marimo orders cells by what they need, so it executes them itself (docs.marimo.io, "Exporting"). The
executed notebook is there when it has ended, not before.
"""

from pathlib import Path

from runhook.runner.collect import LARGEST_MASKED, masked_json, open_beneath_text
from runhook.runner.notebook.kernel import Launch
from runhook.runner.process import run
from runhook.runner.report import StepFailed
from runhook.runner.spec import write_whole

PACKAGE = "lib/python3*/site-packages/marimo/__main__.py"


def run_marimo(launch: Launch, source: Path, target: Path) -> None:
    """Execute `source`; what marimo exports is kept, masked, at `target`, also where cells failed:
    StepFailed then. Parameters are given as `mo.cli_args()`, and as environment variables."""
    if not any(launch.python.parent.parent.glob(PACKAGE)):
        raise StepFailed(
            f"{launch.spec.notebook} is a notebook of marimo's, which is not among the packages of "
            "the job: add marimo there"
        )
    folder = Path(launch.spec.directory) / "tmp"
    made = folder / "executed.ipynb"
    words = ["-m", "marimo", "export", "ipynb", source.name, "-o", str(made), "--include-outputs"]
    options = [word for name in launch.spec.parameters for word in _option(launch, name)]
    argv = [str(launch.python), *words, "-f", "--", *options]
    ended = run(
        argv,
        cwd=launch.directory,
        env=launch.variables,
        output=launch.reporter.log_fd,
        control=launch.control,
    )
    _keep(launch, folder, made, target)
    if not ended.ok:
        memory = launch.control.bounds.explain()
        how = f"status {ended.code}" if ended.signal is None else f"signal {ended.signal}"
        reason = memory or f"marimo ended with {how}: the log and the notebook say in which cell"
        raise StepFailed(reason, ended.code, ended.signal)


def _option(launch: Launch, name: str) -> list[str]:
    return [f"--{name}", launch.variables[name]]


def _keep(launch: Launch, folder: Path, made: Path, target: Path) -> None:
    """The work wrote it, so nothing about it is trusted."""
    try:
        with open_beneath_text(folder, made) as file:
            text = file.read(LARGEST_MASKED)
        write_whole(target, masked_json(text.encode(), launch.reporter.masker))
    except (OSError, ValueError) as error:
        message = f"marimo left no executed notebook: {type(error).__name__}"
        launch.reporter.emit("notice", message=message)
