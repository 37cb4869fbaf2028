"""A cold kernel: a program started for this notebook, which ends with it."""

import asyncio
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Literal

from jupyter_client.connect import write_connection_file

from runhook.runner.masking import Masker, Stream
from runhook.runner.notebook.kernel import Connection, Launch, readable
from runhook.runner.notebook.kernelspecs import Spec
from runhook.runner.process import Control, Exit, exit_of, spawn
from runhook.runner.scratch import give
from runhook.runner.tree import Ending, end_descendants, interrupt_descendants

COMPLAINT = 2000


async def start_cold(launch: Launch, spec: Spec) -> "ColdKernel":
    """Start the kernel's program in the notebook's folder. StepFailed if that cannot be done."""
    file, connection = _connect(launch.sockets)
    argv = [word.replace("{connection_file}", file) for word in spec.argv]
    variables = {**spec.variables, **launch.variables}
    if launch.control.confinement is None:  # in a box it ends with us, and cannot see us
        variables["JPY_PARENT_PID"] = str(os.getpid())
    reads, writes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.set_blocking(writes, True)
        enter = _enter(launch.control, launch.sockets)
        process = spawn(argv, launch.directory, variables, writes, writes, enter)
    except BaseException:
        os.close(reads)
        raise
    finally:
        os.close(writes)
    return ColdKernel(process, connection, reads, spec.interrupts, launch.reporter.masker)


class ColdKernel:
    """A child of this process. What it writes beside its messages is read, and its end kept."""

    how = "cold"

    def __init__(
        self,
        process: Popen[bytes],
        connection: Connection,
        reads: int,
        interrupts: Literal["signal", "message"],
        masker: Masker,
    ) -> None:
        self.connection = connection
        self.interrupts = interrupts
        self._process = process
        self._ended: asyncio.Task[Exit] | None = None
        self._reads = reads
        self._stream = Stream(masker)
        self._said = b""
        asyncio.get_running_loop().add_reader(reads, self._hear)

    async def ended(self) -> Exit:
        if self._ended is None:
            self._ended = asyncio.create_task(self._wait())
        return await asyncio.shield(self._ended)

    async def _wait(self) -> Exit:
        with Ending(self._process.pid) as ending:
            await readable(ending.fileno())
        return exit_of(self._process)

    def interrupt(self) -> None:
        interrupt_descendants()

    async def end(self, grace: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.ended()
        end_descendants(0)

    def complaint(self) -> str:
        self._hear()
        return (self._said + self._stream.held).decode("utf-8", "replace").strip()

    def _hear(self) -> None:
        """Read what is there, so that it never waits for us, and keep the end of it:
        masked, since the cut may be inside a secret."""
        try:
            piece = os.read(self._reads, 65536)
        except BlockingIOError:
            return
        if not piece:
            asyncio.get_running_loop().remove_reader(self._reads)
        self._said = (self._said + self._stream.feed(piece))[-COMPLAINT:]


def _connect(sockets: Path) -> tuple[str, Connection]:
    """A connection file, and what it says. Sockets of files: no port can be taken or guessed."""
    key = secrets.token_hex(16).encode()
    name, connection = write_connection_file(
        f"{sockets}/c", ip=f"{sockets}/k", transport="ipc", key=key
    )
    return name, dict(connection)


def _enter(control: Control, sockets: Path) -> Callable[[], None] | None:
    """What the kernel's process does first. The folder of its sockets becomes its own then: what
    was left for it there is written by that time."""
    enter, place = control.enter, control.confinement
    uid = place.uid if place else None
    if enter is None or uid is None:
        return enter

    def hand_over() -> None:
        give(sockets, uid)
        enter()

    return hand_over
