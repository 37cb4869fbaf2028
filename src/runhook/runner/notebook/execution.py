"""The execution of a notebook on a kernel, from the first cell to whatever ends it."""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import nbformat

from runhook.runner.notebook import kernels
from runhook.runner.notebook.cells import Cells
from runhook.runner.notebook.client import Message, connect, disconnect
from runhook.runner.notebook.document import tags
from runhook.runner.notebook.kernel import Kernel, Launch, readable
from runhook.runner.notebook.live import LiveDocument
from runhook.runner.notebook.text import text_of
from runhook.runner.notebook.warm import imported
from runhook.runner.process import Control, Exit, Stopped
from runhook.runner.report import StepFailed
from runhook.runner.tree import end_tree

SHUT_DOWN_SECONDS = 5.0
LAST_WORDS_SECONDS = 0.3
"""How long what a dead kernel had published may be on its way to us."""

T = TypeVar("T")


class Execution:
    """One notebook on one kernel."""

    def __init__(self, launch: Launch, live: LiveDocument) -> None:
        self._launch = launch
        self._live = live
        self._control = launch.control
        self._reporter = launch.reporter
        self._silent = True

    async def run(self) -> None:
        """Execute to the end, or until the attempt has to stop. StepFailed names the cell that
        failed, or why the kernel is gone; Stopped if somebody wished it or a limit was reached."""
        self._live.save()
        stop = asyncio.create_task(stop_due(self._control))
        try:
            kernel = await self._unless(stop, kernels.start(self._launch))
            try:
                await self._on(kernel, stop)
            finally:
                await kernel.end(0)
        finally:
            stop.cancel()
            self._live.save()

    async def _on(self, kernel: Kernel, stop: asyncio.Task[None]) -> None:
        client, info = await self._unless(stop, connect(kernel))
        self._live.notebook.metadata["language_info"] = info["content"].get("language_info", {})
        cells = Cells(self._live.notebook, client, self._hear, lambda _: None)
        listening = asyncio.create_task(cells.listen())
        try:
            for index, cell in enumerate(self._live.notebook.cells):
                code = cell.cell_type == "code" and cell.source.strip()
                if code and "skip-execution" not in tags(cell):
                    await self._cell(cells, index, kernel, stop)
            if self._launch.warm:
                self._launch.warm.teach(await imported(client))
            client.shutdown()
            await kernel.end(SHUT_DOWN_SECONDS)
        finally:
            listening.cancel()
            disconnect(client)

    async def _unless(self, stop: asyncio.Task[None], work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to, unless the attempt has to stop before: Stopped."""
        task = asyncio.create_task(work)
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        with suppress(asyncio.CancelledError, StepFailed):
            await task
        why = self._control.due()
        assert why
        raise Stopped(why)

    async def _cell(
        self, cells: Cells, index: int, kernel: Kernel, stop: asyncio.Task[None]
    ) -> None:
        """Execute a cell; an error says that it was the last."""
        cell = self._live.notebook.cells[index]
        lenient = "raises-exception" in tags(cell)
        work = asyncio.create_task(cells.execute_index(index, stop_on_error=not lenient))
        ended = asyncio.create_task(kernel.ended())
        try:
            await asyncio.wait({work, ended, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                self._answered(index, work.result(), lenient)
            elif ended.done():
                await asyncio.sleep(LAST_WORDS_SECONDS)
                self._died(index, ended.result())
            else:
                await self._stop(index, kernel, {work, ended})
        finally:
            work.cancel()
            ended.cancel()
            self._live.save()

    def _answered(self, index: int, reply: Message, lenient: bool) -> None:
        content = reply["content"]
        if content["status"] == "ok" or lenient:
            return
        raise StepFailed(
            f"cell {index + 1} failed with {content.get('ename')}: {content.get('evalue')}"
        )

    def _died(self, index: int, ended: Exit) -> None:
        why = self._control.bounds.explain() or "the kernel died"
        self._tell(index, f"{why} in this cell; the cells after it never ran")
        raise StepFailed(f"{why} in cell {index + 1}", ended.code, ended.signal)

    async def _stop(self, index: int, kernel: Kernel, ends: set[asyncio.Task[Any]]) -> None:
        """As for a command: INT, the grace, TERM, the grace, KILL; a cell that heeds the first is
        not waited for any longer."""
        why = self._control.due()
        assert why
        kernel.interrupt()
        await asyncio.wait(ends, timeout=self._control.grace, return_when=asyncio.FIRST_COMPLETED)
        self._tell(index, why.reason or "the run was cancelled in this cell")
        end_tree(0 if any(each.done() for each in ends) else self._control.grace)
        raise Stopped(why)

    def _hear(self, message: Message, index: int) -> None:
        """Have every output that arrives written to the log as a person would expect to read it."""
        text = text_of(message)
        if text and self._silent:
            self._silent = False
            self._reporter.emit("first_output")
        os.write(self._reporter.log_fd, text.encode("utf-8", "replace"))

    def _tell(self, index: int, text: str) -> None:
        """Say in the cell that was executing why it did not end."""
        output = {"output_type": "error", "ename": "Stopped", "evalue": text}
        output["traceback"] = [f"Stopped: {text}"]  # type: ignore[assignment]
        self._live.notebook.cells[index].outputs.append(nbformat.from_dict(output))  # type: ignore[no-untyped-call]


async def stop_due(control: Control) -> None:
    """Return when the control says that the attempt has to end."""
    while not control.due():
        with suppress(TimeoutError):
            async with asyncio.timeout(control.seconds_left()):
                await readable(control.fileno())
