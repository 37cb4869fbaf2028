"""Started kernels: the seam between whoever starts one and whoever executes a notebook on it.

A kernel is a process that speaks Jupyter's messages (jupyter-client.readthedocs.io, "Messaging in
Jupyter"). How it came to be is of no concern to the execution: `kernels.start` is the one place
that decides it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from nbformat import NotebookNode

from runhook.runner.held import Hold
from runhook.runner.process import Control, Exit
from runhook.runner.report import Reporter
from runhook.runner.spec import RunSpec
from runhook.runner.warm.start import WarmStart

Connection = dict[str, Any]
"""What stands in a connection file: transport, ip, five ports, key, signature_scheme."""


@dataclass(frozen=True)
class Launch:
    """What starting a kernel needs. `directory` is where it works, `python` the interpreter of its
    environment, `sockets` an empty folder with a short path, shared with the work's place."""

    spec: RunSpec
    notebook: NotebookNode
    directory: Path
    python: Path
    variables: Mapping[str, str]
    sockets: Path
    control: Control
    reporter: Reporter
    warm: WarmStart | None = None
    hold: Hold | None = None


class Kernel(Protocol):
    """A kernel that was started for this attempt alone; it need not be ready yet. `how` is shown
    beside the step: cold, or what else it was. With `interrupts` by message the execution asks for
    an interrupt on the control channel, else it calls `interrupt`."""

    connection: Connection
    how: str
    interrupts: Literal["signal", "message"]

    async def ended(self) -> Exit:
        """Wait for its end: the exit code or the signal, as true as the kernel of the machine tells
        it. May be awaited by many, cancelled, and asked again after the end."""

    def interrupt(self) -> None:
        """As Ctrl-C does: it, and what it started, get SIGINT. Nothing happens after its end."""

    async def end(self, grace: float) -> None:
        """It was asked to shut down: wait so many seconds for that, then kill it and what it
        started. Safe to repeat, and after its end."""

    def complaint(self) -> str:
        """The last it wrote where no message goes, for a kernel that did not get ready; short."""


async def readable(descriptor: int) -> None:
    """Wait until a descriptor is readable. Each is waited for once at a time."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_reader(descriptor, told.set)
    try:
        await told.wait()
    finally:
        loop.remove_reader(descriptor)
