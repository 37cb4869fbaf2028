"""Executing a notebook natively: parameters in, cells executed, the executed notebook out.

The kernel comes from the job's environment, whatever the notebook's metadata names, and is reached
over IPC sockets. The notebook is saved after every cell, so that it is true on every ending.
"""

import asyncio
import os
import subprocess
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from runhook.runner.collect import open_beneath_text
from runhook.runner.process import Control, Stopped
from runhook.runner.report import Reporter, StepFailed
from runhook.runner.scratch import give
from runhook.runner.spec import RunSpec, write_whole

INJECTED = "injected-parameters"
READY_SECONDS = 60
LONGEST_REASON = 1000


def run_notebook(
    spec: RunSpec,
    workspace: Path,
    variables: Mapping[str, str],
    python: Path,
    reporter: Reporter,
    control: Control,
    sockets: Path,
) -> None:
    """Execute the notebook in its own folder; it is kept among the artifacts on every ending.
    `sockets` is an empty folder with a short path.

    StepFailed names the cell that failed, or why the kernel is gone.
    """
    assert spec.notebook is not None
    source = _source(workspace, spec.notebook)
    notebook = read_notebook(workspace, source, spec.notebook)
    inject(notebook, spec.parameters)
    target = Path(spec.directory) / "artifacts" / source.name
    execution = _Execution(
        notebook, source.parent, target, variables, python, reporter, control, sockets
    )
    asyncio.run(execution.run())


def _source(workspace: Path, relative: str) -> Path:
    path = (workspace / relative).resolve()
    if not path.is_relative_to(workspace.resolve()):
        raise StepFailed(f"the notebook {relative} is a link that leads out of the workspace")
    if not path.is_file():
        raise StepFailed(f"there is no notebook {relative} in the workspace")
    return path


def read_notebook(workspace: Path, path: Path, name: str) -> NotebookNode:
    """The notebook in the present format, whichever it was written in. StepFailed, as a sentence,
    if it is none, or broken in a place that executing it needs. A start script may have left
    something that swaps files: hence it is opened beneath the workspace."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # what it mends by itself, such as ids
            open_beneath_text(workspace, path) as file,
        ):
            notebook = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
        problem = _problem(notebook)
    except Exception as error:  # nbformat raises whatever its validators and JSON raise
        problem = " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
    if problem:
        raise StepFailed(f"{name} cannot be read as a notebook: {problem}")
    assert isinstance(notebook, NotebookNode)
    return notebook


def _problem(notebook: Any) -> str | None:
    """What nbformat lets through and executing or saving would stumble over."""
    if not isinstance(notebook, NotebookNode) or not isinstance(notebook.get("cells"), list):
        return "it has no list of cells"
    if not isinstance(notebook.get("metadata"), dict):
        return "it has no metadata"
    for number, cell in enumerate(notebook.cells, start=1):
        if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
            return f"cell {number} has no type"
        if not isinstance(cell.get("source"), str):
            return f"cell {number} has no source"
        if not isinstance(cell.get("metadata"), dict):
            return f"cell {number} has no metadata"
    return None


def inject(notebook: NotebookNode, parameters: Mapping[str, Any]) -> None:
    """Put the values into a cell after the one tagged `parameters`, else at the top (papermill's
    convention). Values are written as literals; nothing is evaluated."""
    cells = notebook.cells
    cells[:] = [cell for cell in cells if INJECTED not in _tags(cell)]
    if not parameters:
        return
    source = "\n".join(["# Parameters", *(f"{n} = {v!r}" for n, v in parameters.items())])
    metadata = {"tags": [INJECTED]}
    cell = nbformat.v4.new_code_cell(source, metadata=metadata)  # type: ignore[no-untyped-call]
    places = [index for index, each in enumerate(cells) if "parameters" in _tags(each)]
    cells.insert(places[0] + 1 if places else 0, cell)


def _tags(cell: NotebookNode) -> list[str]:
    tags = cell.metadata.get("tags", [])
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def clear_outputs(notebook: NotebookNode) -> None:
    """Take away what an earlier execution left in the cells."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


class _Execution:
    """One notebook on one kernel."""

    def __init__(
        self,
        notebook: NotebookNode,
        directory: Path,
        target: Path,
        variables: Mapping[str, str],
        python: Path,
        reporter: Reporter,
        control: Control,
        sockets: Path,
    ) -> None:
        self._notebook = notebook
        self._sockets = sockets
        self._directory = directory
        self._target = target
        self._variables = variables
        self._reporter = reporter
        self._control = control
        self._cell = 0
        self._silent = True
        self._argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        # It would look for its parent's number, which it cannot see; it ends with it anyway.
        self._argv += ["--IPKernelApp.parent_handle=0"] if control.confinement else []
        clear_outputs(notebook)

    async def run(self) -> None:
        """Execute to the end, or until the attempt has to stop."""
        self._save()
        work = asyncio.create_task(self._execute())
        stop = asyncio.create_task(self._stop_requested())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            why = None if work.done() else self._control.due()
            if why:
                work.cancel()
                self._tell(why.reason or "the run was cancelled in this cell")
                raise Stopped(why)
            await work
        finally:
            stop.cancel()
            self._save()

    async def _stop_requested(self) -> None:
        """Return when the control says that the attempt has to end."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        loop.add_reader(self._control.fileno(), told.set)
        try:
            while not self._control.due():
                left = self._control.seconds_left()
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await told.wait()
        finally:
            loop.remove_reader(self._control.fileno())

    async def _execute(self) -> None:
        manager = self._manager(self._sockets)
        client = NotebookClient(
            self._notebook,
            km=manager,
            timeout=None,
            startup_timeout=READY_SECONDS,
            allow_errors=False,
            force_raise_errors=False,
            store_widget_state=False,
            on_cell_start=self._cell_started,
            on_cell_executed=self._cell_executed,
        )
        self._echo_outputs(client)
        try:
            await client.async_execute(
                cwd=str(self._directory),
                env=dict(self._variables),
                cleanup_kc=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=self._enter(),
            )
        except CellExecutionError as error:
            raise self._cell_failed(error) from None
        except DeadKernelError:
            why = self._control.bounds.explain() or "the kernel died"
            self._tell(f"{why} in this cell; the cells after it never ran")
            raise StepFailed(f"{why} in cell {self._cell}") from None
        except RuntimeError as error:
            raise StepFailed(f"the kernel did not start: {error}") from None

    def _enter(self) -> Callable[[], None] | None:
        """What the kernel's process does first. The folder of its sockets becomes its own then:
        what Jupyter leaves for it there is written by that time."""
        enter, place = self._control.enter, self._control.confinement
        uid = place.uid if place else None
        if enter is None or uid is None:
            return enter

        def hand_over() -> None:
            give(self._sockets, uid)
            enter()

        return hand_over

    def _manager(self, sockets: Path) -> AsyncKernelManager:
        spec = KernelSpec(argv=self._argv, display_name="Python 3", language="python")
        manager = AsyncKernelManager(
            kernel_name="python3",
            transport="ipc",
            ip=f"{sockets}/k",
            connection_file=f"{sockets}/c",
        )
        manager._kernel_spec = spec  # the environment's interpreter, not a registered kernel
        return manager

    def _cell_started(self, cell: NotebookNode, cell_index: int) -> None:
        self._cell = cell_index + 1

    def _cell_executed(
        self, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]
    ) -> None:
        self._save()

    def _echo_outputs(self, client: NotebookClient) -> None:
        """Have every output that arrives written to the log as a person would expect to read it."""
        keep = client.output

        def output(
            outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
        ) -> NotebookNode | None:
            self._write(_text_of(msg))
            return keep(outs, msg, display_id, cell_index)

        client.output = output  # type: ignore[method-assign]  # nbclient's hook for this

    def _write(self, text: str) -> None:
        if text and self._silent:
            self._silent = False
            self._reporter.emit("first_output")
        os.write(self._reporter.log_fd, text.encode("utf-8", "replace"))

    def _cell_failed(self, error: CellExecutionError) -> StepFailed:
        return StepFailed(f"cell {self._cell} failed with {error.ename}: {error.evalue}")

    def _tell(self, text: str) -> None:
        """Say in the cell that was executing why it did not end."""
        cells = self._notebook.cells
        if 0 < self._cell <= len(cells) and cells[self._cell - 1].cell_type == "code":
            output = {"output_type": "error", "ename": "Stopped", "evalue": text}
            cells[self._cell - 1].outputs.append(
                nbformat.from_dict({**output, "traceback": [f"Stopped: {text}"]})  # type: ignore[no-untyped-call]
            )

    def _save(self) -> None:
        shown = nbformat.from_dict(self._reporter.masker.mask_value(self._notebook))  # type: ignore[no-untyped-call]
        text = nbformat.writes(shown)  # type: ignore[no-untyped-call]
        write_whole(self._target, text)


def _text_of(message: Mapping[str, Any]) -> str:
    """What an output message shows as plain text."""
    content = message["content"]
    match message["header"]["msg_type"]:
        case "stream":
            return str(content["text"])
        case "execute_result" | "display_data":
            text = content["data"].get("text/plain", "")
            return f"{text}\n" if text else ""
        case "error":
            return "\n".join([*content["traceback"], ""])
    return ""
