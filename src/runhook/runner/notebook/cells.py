"""One cell after another on a kernel: the messages of each, until it is done.

What messages mean for the notebook (displays that are updated, cleared outputs, widgets that
capture outputs) is nbclient's; who is waited for, and how long, is decided here.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress

from jupyter_client.asynchronous.client import AsyncKernelClient
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat import NotebookNode

from runhook.runner.notebook.client import Message
from runhook.runner.notebook.outputs import Outputs

logger = logging.getLogger("runhook.runner")
GROWING = (
    "stream",
    "display_data",
    "execute_result",
    "update_display_data",
    "error",
    "clear_output",
)
LARGEST_STATE = 4 * 1024 * 1024
"""Characters of the state of all widgets."""
QUIET_SECONDS = 4.0
"""How long nothing may come, once a cell was answered, before its end is taken as lost."""


class Cells(NotebookClient):
    """Executes cells of `notebook`. `heard` is called with every message and the index of its
    cell, as it was published; `grown` with the index once the cell was changed by it."""

    def __init__(
        self,
        notebook: NotebookNode,
        client: AsyncKernelClient,
        outputs: Outputs,
        heard: Callable[[Message, int], None],
        grown: Callable[[int], None],
    ) -> None:
        super().__init__(notebook, store_widget_state=True, record_timing=True)
        self.kc = client
        self._outputs = outputs
        self._heard = heard
        self._grown = grown
        self._requests: dict[str, int] = {}
        self._idle: asyncio.Event = asyncio.Event()
        self._current = ""
        self._count = 0

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

    def ask_to_interrupt(self) -> None:
        """For kernels that want a message instead of a signal."""
        assert self.kc is not None
        self.kc.control_channel.send(self.kc.session.msg("interrupt_request", {}))

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

    def _take(self, message: Message) -> None:
        self._count += 1
        request = message["parent_header"].get("msg_id")
        index = self._requests.get(request)
        if index is None:
            return
        try:
            self._heard(message, index)
            self._take_of(index, message)
        except CellExecutionComplete:
            if request == self._current:
                self._idle.set()
        except Exception:  # whoever writes a kernel or a widget may publish anything
            logger.exception("cannot take in a message of kind %s", message["msg_type"])
        if message["msg_type"] in GROWING:
            self._grown(index)

    def _take_of(self, index: int, message: Message) -> None:
        cell = self.nb.cells[index]
        fit: Message | None = message
        if not self.output_hook_stack[message["parent_header"]["msg_id"]]:
            fit = self._outputs.bounded(cell.outputs, message, index)
        if fit is not None:
            self.process_message(fit, cell, index)

    def keep_widgets(self) -> None:
        """Put the last state of widgets into the notebook, so that they can be shown without a
        kernel; not if that is more than anybody would wait for."""
        self.set_widgets_metadata()
        widgets = self.nb.metadata.get("widgets")
        if widgets and len(json.dumps(widgets, default=str)) > LARGEST_STATE:
            del self.nb.metadata["widgets"]

    def output(
        self, outs: list[NotebookNode], msg: Message, display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        """A stream goes where it continues; anything else is a new output."""
        hooked = self.output_hook_stack[msg["parent_header"].get("msg_id")]
        if msg["msg_type"] != "stream" or hooked:
            return super().output(outs, msg, display_id, cell_index)
        if self.clear_before_next_output:
            outs[:] = []
            self.clear_display_id_mapping(cell_index)
            self.clear_before_next_output = False
        content = msg["content"]
        self._outputs.stream(outs, cell_index, content["name"], content["text"])
        return None
