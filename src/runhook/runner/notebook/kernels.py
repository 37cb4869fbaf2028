"""Which kernel a notebook is executed on, and how it is started."""

from runhook.runner.notebook.cold import start_cold
from runhook.runner.notebook.kernel import Kernel, Launch


async def start(launch: Launch) -> Kernel:
    """A kernel for the notebook. StepFailed, with what was found instead, if there is none."""
    return await start_cold(launch)
