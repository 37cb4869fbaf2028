"""One cell after another on a kernel: the messages of each, until it is done.

What messages mean for the notebook (displays that are updated, cleared outputs, widgets that
capture outputs) is nbclient's; who is waited for, and how long, is decided here.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from jupyter_client.asynchronous.client import AsyncKernelClient
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat import NotebookNode

from runhook.runner.notebook.client import Message

QUIET_SECONDS = 4.0
"""How long nothing may come, once a cell was answered, before its end is taken as lost."""


class Cells(NotebookClient):
    """Executes cells of `nb`. `heard` is called with every message and the index of its cell,
    before the cell is changed; `changed` with the index after it."""

    def __init__(
        self,
        notebook: NotebookNode,
        client: AsyncKernelClient,
        heard: Callable[[Message, int], None],
        changed: Callable[[int], None],
    ) -> None:
        super().__init__(notebook, store_widget_state=True, record_timing=True)
        self.kc = client
        self._heard = heard
        self._changed = changed
        self._requests: dict[str, int] = {}
        self._idle: asyncio.Event = asyncio.Event()
        self._current = ""

    async def listen(self) -> None:
        """Take in what the kernel publishes, for ever. Of a cell that is over, too: threads that
        it started go on."""
        assert self.kc is not None
        while True:
            message = await self.kc.iopub_channel.get_msg(timeout=None)
            self._take(message)

    async def execute_index(self, index: int, *, stop_on_error: bool = True) -> Message:
        """Execute a cell to its end, with all that it publishes: the kernel's reply."""
        assert self.kc is not None
        cell = self.nb.cells[index]
        cell.outputs, cell.execution_count = [], None
        cell.metadata["execution"] = {}
        self.clear_before_next_output = False
        self._idle.clear()
        request = self.kc.execute(cell.source, allow_stdin=False, stop_on_error=stop_on_error)
        self._requests[request] = index
        self._current = request
        reply = await self._reply(request)
        await self._quiet()
        return reply

    async def _reply(self, request: str) -> Message:
        assert self.kc is not None
        while True:
            reply: Message = await self.kc.shell_channel.get_msg(timeout=None)
            if reply["parent_header"].get("msg_id") == request:
                return reply

    async def _quiet(self) -> None:
        """Until the kernel says that it is idle again: what it published came before that."""
        while not self._idle.is_set():
            before = self._count
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._idle.wait()
            if self._count == before:
                return

    _count = 0

    def _take(self, message: Message) -> None:
        self._count += 1
        request = message["parent_header"].get("msg_id")
        index = self._requests.get(request)
        if index is None:
            return
        self._heard(message, index)
        try:
            self.process_message(message, self.nb.cells[index], index)
        except CellExecutionComplete:
            if request == self._current:
                self._idle.set()
        self._changed(index)
