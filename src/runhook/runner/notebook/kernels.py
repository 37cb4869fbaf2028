"""Which kernel a notebook is executed on, and how it is started."""

from runhook.runner.notebook.cold import start_cold
from runhook.runner.notebook.kernel import Kernel, Launch
from runhook.runner.notebook.warm import start_warm


async def start(launch: Launch) -> Kernel:
    """A kernel for the notebook. StepFailed, with what was found instead, if there is none."""
    if launch.warm and launch.warm.lease:
        warm = await start_warm(launch, launch.warm)
        if warm:
            return warm
    return await start_cold(launch)
