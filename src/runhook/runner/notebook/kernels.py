"""Which kernel a notebook is executed on, and how it is started."""

from pathlib import Path

from nbformat import NotebookNode

from runhook.runner.notebook.cold import start_cold
from runhook.runner.notebook.kernel import Kernel, Launch
from runhook.runner.notebook.kernelspecs import Spec, all_specs, find, python_kernel
from runhook.runner.notebook.language import PYTHON, kernel_name, language_of
from runhook.runner.report import StepFailed


async def start(launch: Launch) -> Kernel:
    """A kernel for the notebook. StepFailed, with what was found instead, if there is none."""
    return await start_cold(launch, choose(launch.notebook, launch.python))


def choose(notebook: NotebookNode, python: Path) -> Spec:
    """The language decides. Python is the environment's own interpreter, whatever kernel the
    metadata names; another language needs a kernel in the environment or on the machine."""
    language = language_of(notebook)
    if language == PYTHON:
        return python_kernel(python)
    spec = find(language, kernel_name(notebook), python)
    if spec is None:
        others = sorted({each.language for each in all_specs(python)})
        raise StepFailed(
            f"there is no kernel for {language}, in which the notebook is written: found "
            f"{', '.join(['python', *others])}; add its package to the job's packages, or install "
            "it on the machine"
        )
    return spec
