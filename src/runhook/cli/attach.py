"""`runhook attach`: a console in the kernel of a failed run, as it was at the failure.

It speaks Jupyter's messages with the kernel itself (jupyter-client.readthedocs.io), so it is for
the server's machine and its system user: nobody else could reach the sockets, or read their key.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click

from runhook.cli.client import Client
from runhook.cli.login import Login
from runhook.cli.output import fail, local_time
from runhook.runner.held import Held

READY_SECONDS = 20
FILE_MODE = 0o600


def attach(obj: Login, run_id: str, data: Path, file: Path | None) -> None:
    """Open a console, or (`file`) write what another Jupyter client needs."""
    with Client(obj.url, obj.token) as client:
        run = client.run(run_id)
    if not run["held_until"]:
        fail(
            f"no kernel of run {run['number']} is held: it is {run['state']}",
            "A job with `hold_failed_kernel: 30` keeps the kernel of a failed notebook.",
        )
    connection = _connection(data, run["attempts"][-1]["id"])
    if file:
        _write(file, connection)
        click.echo(f"jupyter console --existing {file}")
        return
    console = _Console(connection)
    until = local_time(run["held_until"])
    click.echo(
        f"The kernel of run {run['number']}, held until {until}. Ctrl-D leaves it.", err=True
    )
    console.serve()


def _connection(data: Path, attempt_id: str) -> dict[str, Any]:
    held = Held.of(data / "attempts" / attempt_id[:2] / attempt_id)
    if held is None:
        fail(
            f"the kernel cannot be reached from here: {data} is not the data of its server, or "
            "is not yours to read",
            "Attach on the server's machine, as the system user of the server; --data says where "
            "its data is.",
        )
    return held.connection


def _write(file: Path, connection: dict[str, Any]) -> None:
    file.touch(mode=FILE_MODE)
    file.chmod(FILE_MODE)
    file.write_text(json.dumps(connection), encoding="utf-8")


class _Console:
    """Reads lines, executes them, and shows what comes back."""

    def __init__(self, connection: dict[str, Any]) -> None:
        from jupyter_client.blocking.client import (  # noqa: PLC0415  0.2 s, only here
            BlockingKernelClient,
        )

        self._client = BlockingKernelClient()
        self._client.load_connection_info(connection)  # type: ignore[arg-type]
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=READY_SECONDS)
        except RuntimeError as error:
            fail(f"the kernel does not answer: {error}")

    def serve(self) -> None:
        while (text := self._read()) is not None:
            try:
                self._client.execute_interactive(text, output_hook=_show, allow_stdin=False)
            except KeyboardInterrupt:
                message = self._client.session.msg("interrupt_request", {})
                self._client.control_channel.send(message)
        self._client.stop_channels()

    def _read(self) -> str | None:
        """What makes a whole, as the kernel judges it; None at the end."""
        lines: list[str] = []
        while True:
            try:
                lines.append(input(("... " if lines else ">>> ") if sys.stdin.isatty() else ""))
            except EOFError:
                return "\n".join(lines) if any(lines) else None
            except KeyboardInterrupt:
                lines = []
                click.echo(err=True)
                continue
            if not lines[-1].strip() and len(lines) > 1:
                return "\n".join(lines)
            self._client.is_complete("\n".join(lines))
            if self._client.get_shell_msg(timeout=READY_SECONDS)["content"]["status"] != (
                "incomplete"
            ):
                return "\n".join(lines)


def _show(message: dict[str, Any]) -> None:
    content = message["content"]
    match message["header"]["msg_type"]:
        case "stream":
            click.echo(content["text"], nl=False, err=content["name"] == "stderr")
        case "execute_result" | "display_data":
            click.echo(content["data"].get("text/plain", ""))
        case "error":
            click.echo("\n".join(content["traceback"]), err=True)
