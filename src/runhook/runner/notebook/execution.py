"""The execution of a notebook on a kernel, from the first cell to whatever ends it."""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from nbformat import NotebookNode

from runhook.runner.notebook import kernels
from runhook.runner.notebook.cells import Cells
from runhook.runner.notebook.client import Message, connect, disconnect
from runhook.runner.notebook.document import tags
from runhook.runner.notebook.endings import Ending, of_death, of_reply
from runhook.runner.notebook.kernel import Kernel, Launch, readable
from runhook.runner.notebook.live import LiveDocument
from runhook.runner.notebook.outputs import Outputs
from runhook.runner.notebook.record import Record
from runhook.runner.notebook.returned import Returned
from runhook.runner.notebook.text import text_of
from runhook.runner.notebook.warm import imported
from runhook.runner.process import Control, Stop, Stopped
from runhook.runner.report import StepFailed
from runhook.runner.tree import end_tree

SHUT_DOWN_SECONDS = 5.0
LAST_WORDS_SECONDS = 0.3
"""How long what a dead kernel had published may be on its way to us."""

T = TypeVar("T")


class Execution:
    """One notebook on one kernel."""

    def __init__(
        self, launch: Launch, live: LiveDocument, record: Record, outputs: Outputs
    ) -> None:
        self.returned = Returned()
        self._launch = launch
        self._live = live
        self._record = record
        self._outputs = outputs
        self._control = launch.control
        self._reporter = launch.reporter
        self._notebook: NotebookNode = launch.notebook
        self._silent = True

    async def run(self) -> None:
        """Execute to the end, or until the attempt has to stop. StepFailed names the cell that
        failed, or why the kernel is gone; Stopped if somebody wished it or a limit was reached.
        The notebook says so, whatever it is."""
        try:
            await self._run()
        except Stopped as error:
            self._end(error.stop.outcome, error.stop.reason)
            raise
        except StepFailed as error:
            self._end("failed", error.reason)
            raise
        except BaseException as error:
            self._end("failed", f"the runner failed: {type(error).__name__}")
            raise
        self._end("succeeded", None)

    def _end(self, status: str, reason: str | None) -> None:
        self._outputs.finish()
        self._record.end(status, reason)

    async def _run(self) -> None:
        stop = asyncio.create_task(stop_due(self._control))
        try:
            kernel = await self._unless(stop, kernels.start(self._launch))
            try:
                await self._on(kernel, stop)
            except StepFailed:
                await self._hold(kernel)
                raise
            finally:
                if not (self._launch.hold and self._launch.hold.connection):
                    await kernel.end(0)
        except StepFailed as error:
            if not self._record.told:
                self._record.note(None, "KernelDied", error.reason)
            raise
        finally:
            stop.cancel()

    async def _hold(self, kernel: Kernel) -> None:
        """Leave a kernel that lives to whoever holds it, if it is to be held."""
        ended = asyncio.create_task(kernel.ended())
        await asyncio.wait({ended}, timeout=LAST_WORDS_SECONDS if self._launch.hold else 0)
        if self._launch.hold and not ended.done():
            self._launch.hold.connection = kernel.connection
        ended.cancel()

    async def _on(self, kernel: Kernel, stop: asyncio.Task[Stop]) -> None:
        client, info = await self._unless(stop, connect(kernel))
        self._notebook.metadata["language_info"] = info["content"].get("language_info", {})
        cells = Cells(self._notebook, client, self._outputs, self._hear, self._live.grown)
        listening = asyncio.create_task(cells.listen())
        try:
            await self._each_cell(cells, kernel, stop, listening)
            if self._launch.warm:
                self._launch.warm.teach(await imported(client, kernel))
            client.shutdown()
            await kernel.end(SHUT_DOWN_SECONDS)
        finally:
            listening.cancel()
            disconnect(client)
            cells.keep_widgets()

    async def _unless(self, stop: asyncio.Task[Stop], work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to, unless the attempt has to stop before: Stopped."""
        task = asyncio.create_task(work)
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        with suppress(asyncio.CancelledError, StepFailed):
            await task
        why = stop.result()
        self._record.note(None, "Stopped", why.reason or "the run was cancelled before this cell")
        raise Stopped(why)

    async def _each_cell(
        self,
        cells: Cells,
        kernel: Kernel,
        stop: asyncio.Task[Stop],
        listening: asyncio.Task[None],
    ) -> None:
        for index, cell in enumerate(self._notebook.cells):
            if cell.cell_type != "code":
                continue
            if not cell.source.strip() or "skip-execution" in tags(cell):
                self._record.finished(index, "skipped")
                continue
            ending = await self._cell(cells, index, kernel, stop, listening)
            if ending.last:
                return self._last(index, ending)
        return None

    def _last(self, index: int, ending: Ending) -> None:
        """No cell follows: say why, in the notebook and to whoever called."""
        self._record.finished(index, ending.status)
        if not ending.reason:
            self._record.forget_exit(index)
        self._record.note(index, ending.name, ending.note or ending.reason or "")
        if ending.reason:
            raise StepFailed(ending.reason, ending.exit_code, ending.signal)

    async def _cell(
        self,
        cells: Cells,
        index: int,
        kernel: Kernel,
        stop: asyncio.Task[Stop],
        listening: asyncio.Task[None],
    ) -> Ending:
        """Execute a cell: how it ended. Stopped if the attempt has to."""
        lenient = "raises-exception" in tags(self._notebook.cells[index])
        self._record.started(index)
        work = asyncio.create_task(cells.execute_index(index, stop_on_error=not lenient))
        ended = asyncio.create_task(kernel.ended())
        try:
            others = {work, ended, stop, listening}
            await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                content, masker = work.result()["content"], self._reporter.masker
                ending = of_reply(content, index + 1, lenient, masker)
            elif ended.done():
                await asyncio.sleep(LAST_WORDS_SECONDS)
                ending = of_death(ended.result(), index + 1, self._control.bounds.explain())
            else:
                if listening.done():
                    listening.result()  # what failed there is told, and nothing else
                await self._stop(index, cells, kernel, {work, ended}, stop.result())
            self._record.finished(index, ending.status)
            return ending
        finally:
            work.cancel()
            ended.cancel()

    async def _stop(
        self,
        index: int,
        cells: Cells,
        kernel: Kernel,
        ends: set[asyncio.Task[Any]],
        why: Stop,
    ) -> NoReturn:
        """As for a command: INT, the grace, TERM, the grace, KILL; a cell that heeds the first is
        not waited for any longer."""
        interrupt(kernel, cells)
        grace = self._control.grace
        await asyncio.wait(ends, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        self._record.finished(index, "stopped")
        self._record.note(index, "Stopped", why.reason or "the run was cancelled in this cell")
        end_tree(0 if any(each.done() for each in ends) else grace)
        raise Stopped(why)

    def _hear(self, message: Message, index: int) -> None:
        """Have every output that arrives written to the log as a person would expect to read it,
        and looked at for what the notebook returns."""
        self.returned.hear(message, self._notebook.cells[index])
        text = text_of(message)
        if text and self._silent:
            self._silent = False
            self._reporter.emit("first_output")
        rest = memoryview(text.encode("utf-8", "replace"))
        with suppress(OSError):  # a full disk costs a part of the log, not the run
            while rest:
                rest = rest[os.write(self._reporter.log_fd, rest) :]


def interrupt(kernel: Kernel, cells: Cells) -> None:
    """As the kernel wants it."""
    if kernel.interrupts == "signal":
        kernel.interrupt()
    else:
        cells.ask_to_interrupt()


async def stop_due(control: Control) -> Stop:
    """Why the attempt has to end, once the control says that it has to. It is asked no further:
    a limit that is sampled may be kept again a moment later."""
    while (why := control.due()) is None:
        with suppress(TimeoutError):
            async with asyncio.timeout(control.seconds_left()):
                await readable(control.fileno())
    return why
