"""A small process that has imported the runner already and forks one for each attempt.

It saves the start of a Python (10–15 ms and the imports) per attempt. It stands in a session of its
own, lives on when the server ends, and leaves when no server was connected for ten minutes. Its
socket takes one JSON object a line and answers with one:

    {"op": "hello"}                            → {"fingerprint": "…"}
    {"op": "run", "directory": …, "secrets": …}  → Identity of the runner, made now or before
    {"op": "leave"}                            → {} and the parent ends; its runners go on

It forks only while it has a single thread, and makes nothing before the fork that a fork breaks.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from runhook.runner.__main__ import run_attempt
from runhook.runner.identity import fingerprint
from runhook.runner.spec import Secrets, WarmSpec
from runhook.runner.warm import keeper

IDLE_SECONDS = 600
LONGEST_REQUEST = 16 * 1024 * 1024


class Parent:
    """Serves one listening socket until it is told to leave or nobody is left."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._connections: dict[int, socket.socket] = {}
        self._unread: dict[int, bytes] = {}
        self._fingerprint = fingerprint()
        self._bounds: WarmSpec | None = None

    def serve(self) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps; results are files
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.freeze()
        while True:
            poller = select.poll()
            for descriptor in (self._listener.fileno(), *self._connections):
                poller.register(descriptor, select.POLLIN)
            ready = poller.poll(None if self._connections else IDLE_SECONDS * 1000)
            if not ready:
                return
            for descriptor, _ in ready:
                if descriptor == self._listener.fileno():
                    self._accept()
                elif not self._receive(descriptor):
                    return

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._connections[connection.fileno()] = connection
        self._unread[connection.fileno()] = b""

    def _receive(self, descriptor: int) -> bool:
        """False if the parent was told to leave."""
        connection = self._connections[descriptor]
        data = b""
        with suppress(ConnectionError):
            data = connection.recv(256 * 1024)
        lines = (self._unread[descriptor] + data).split(b"\n")
        self._unread[descriptor] = lines.pop()
        if not data or len(self._unread[descriptor]) > LONGEST_REQUEST:
            self._close(descriptor)
            return True
        for line in lines:
            request = json.loads(line)
            answer = self._answer(request)
            with suppress(ConnectionError):
                connection.sendall(json.dumps(answer).encode() + b"\n")
            if request["op"] == "leave":
                return False
        return True

    def _close(self, descriptor: int) -> None:
        self._connections.pop(descriptor).close()
        del self._unread[descriptor]

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["op"]:
            case "hello":
                return {"fingerprint": self._fingerprint}
            case "run":
                return self._run(Path(request["directory"]), request["secrets"])
            case _:
                if (
                    self._bounds
                ):  # a new parent, perhaps of another version, has a keeper of its own
                    keeper.dismiss(self._bounds.socket)
                return {}

    def _run(self, directory: Path, secrets: dict[str, Any]) -> dict[str, Any]:
        """Fork a runner and wait until it has claimed the attempt, or found it claimed."""
        if not (directory / "runner.json").exists():
            self._preload(directory)
            self._fork(directory, secrets)
        try:
            return dict(json.loads((directory / "runner.json").read_bytes()))
        except (OSError, ValueError) as error:
            return {"error": f"the runner did not start: {error}"}

    def _preload(self, directory: Path) -> None:
        """Once a notebook was asked for, have its imports ready for every later fork; and where
        kernels are to start warm, have somebody keep their parents."""
        with suppress(OSError, ValueError):
            asked = json.loads((directory / "spec.json").read_bytes())
            if asked.get("notebook"):
                import runhook.runner.notebook  # noqa: F401, PLC0415  0.3 s, where needed
            if asked.get("warm") and not asked["warm"]["refused"]:
                self._bounds = WarmSpec(**asked["warm"])
                keeper.ensure(self._bounds, self._let_go)

    def _fork(self, directory: Path, secrets: dict[str, Any]) -> None:
        assert len(os.listdir("/proc/self/task")) == 1, "a fork must have a single thread"
        reads, writes = os.pipe2(os.O_CLOEXEC)
        if os.fork() == 0:
            self._become_runner(directory, secrets, writes)
        os.close(writes)
        os.read(reads, 1)  # a byte: claimed; the end: not claimed by this one
        os.close(reads)

    def _let_go(self) -> None:
        """In a fork: what is this process's alone."""
        self._listener.close()
        for connection in self._connections.values():
            connection.close()

    def _become_runner(self, directory: Path, secrets: dict[str, Any], claimed: int) -> None:
        """In the fork: never returns."""
        status = 1
        try:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._let_go()

            def tell() -> None:
                os.write(claimed, b"1")
                os.close(claimed)

            run_attempt(directory, Secrets.from_json(secrets), tell)
            status = 0
        finally:
            os._exit(status)


def main() -> None:
    """`python -m runhook.runner.parent DESCRIPTOR`: serve the inherited listening socket."""
    parent = Parent(socket.socket(fileno=int(sys.argv[1])))
    if os.fork() == 0:  # so that init reaps it, whenever it leaves
        parent.serve()


if __name__ == "__main__":
    main()
