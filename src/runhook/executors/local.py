"""Attempts as processes of this machine, forked by a runner parent.

A handle is the runner's identity: boot id, pid and start time. A pid alone is never trusted and
never signalled: after a reboot, or a while, it is somebody else's.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from runhook.errors import Unavailable
from runhook.executors.base import Handle, Health, Phase, Status
from runhook.runner import scratch
from runhook.runner.identity import boot_id, fingerprint, identity_of, lives
from runhook.runner.leftovers import end_leftovers
from runhook.runner.levels import describe
from runhook.runner.spec import Identity, RunSpec, Secrets
from runhook.runner.tree import ended_within

SLOW_POLL, SPAWN_SECONDS = 1.0, 30.0
HELLO_SECONDS, ANSWER_SECONDS = 2.0, 5.0
PARENT_LOG = "parent.log"


class LocalExecutor:
    """`sockets` is a private directory where the parent's socket stands."""

    name = "local"

    def __init__(self, sockets: Path) -> None:
        self._directory = sockets
        self._address = sockets / "parent.sock"
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._enders: set[asyncio.Task[None]] = set()

    def isolation_of(self, spec: RunSpec) -> str:
        return describe(
            spec.isolation.level, spec.isolation.network, shared=bool(spec.warm and spec.notebook)
        )

    async def check(self) -> Health:
        """Usable if bash and git are here and the parent answers (it is started for that)."""
        missing = [program for program in ("bash", "git") if shutil.which(program) is None]
        if missing:
            return Health(False, f"cannot run anything because {missing[0]} is not on this machine")
        try:
            await self._ask({"op": "hello"})
        except (OSError, ValueError, EOFError, Unavailable) as error:
            return Health(False, f"cannot run anything because the runner parent fails: {error}")
        return Health(True)

    async def start(self, spec: RunSpec, secrets: Secrets) -> Handle:
        """Have the parent fork a runner; a parent that has died is replaced once."""
        request = {"op": "run", "directory": spec.directory, "secrets": asdict(secrets)}
        try:
            answer = await self._ask(request)
        except (OSError, ValueError, EOFError):
            answer = await self._ask(request)
        if "error" in answer:
            raise Unavailable(answer["error"])
        return answer

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Status]:
        return [_status(_identity(handle)) for handle in handles]

    async def ended(self, handle: Handle) -> None:
        """Told by a pidfd; where there are none, seen by looking once a second."""
        identity = _identity(handle)
        if not hasattr(os, "pidfd_open"):
            while lives(identity):
                await asyncio.sleep(SLOW_POLL)
            return
        try:
            descriptor = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            return
        try:
            if lives(identity):
                await _readable(descriptor)
        finally:
            os.close(descriptor)

    async def stop(self, handle: Handle, grace: timedelta) -> None:
        """The runner ends its tree by itself; one that does not is killed, and `clean` does it."""
        identity = _identity(handle)
        if not _signal(identity, signal.SIGTERM):
            return
        task = asyncio.create_task(self._see_to_the_end(handle, identity, grace))
        self._enders.add(task)
        task.add_done_callback(self._enders.discard)

    async def _see_to_the_end(self, handle: Handle, identity: Identity, grace: timedelta) -> None:
        patience = 2 * grace.total_seconds() + 5
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.ended(handle)
        _signal(identity, signal.SIGKILL)

    async def clean(self, spec_directory: str, handle: Handle) -> str:
        """The runner does it itself; this is for one that was killed, with what it ran."""
        directory = Path(spec_directory)
        if lives(_identity(handle)):
            return ""
        left: list[Identity] = []
        if not (directory / "result.json").exists():
            left = await asyncio.to_thread(end_leftovers, directory)
        await asyncio.to_thread(scratch.remove, directory)
        return _cannot_end([each.pid for each in left])

    async def close(self) -> None:
        for task in self._enders:
            task.cancel()
        await self._disconnect()

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._lock:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    reader, writer = self._streams or await self._connect()
                    writer.write(json.dumps(request).encode() + b"\n")
                    await writer.drain()
                    line = await reader.readline()
            except BaseException:  # its answer may still come: not to be taken for the next one's
                self._abandon()
                raise
            if not line:
                self._abandon()
                raise EOFError("the runner parent has ended")
        return dict(json.loads(line))

    def _abandon(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A parent of this very version: the living one, or a new one."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                self._streams = await self._hello()
        except (OSError, ValueError, EOFError):  # also a parent that hangs: TimeoutError
            self._streams = None
        if self._streams is None:
            await asyncio.to_thread(self._spawn_parent)
            self._streams = await self._hello()
        if self._streams is None:
            raise Unavailable("cannot start the runner parent")
        return self._streams

    async def _hello(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Connect; None if the parent is of another version, which is then told to leave."""
        reader, writer = await asyncio.open_unix_connection(str(self._address))
        try:
            writer.write(b'{"op": "hello"}\n')
            if json.loads(await reader.readline() or b"{}").get("fingerprint") == fingerprint():
                return reader, writer
            writer.write(b'{"op": "leave"}\n')
            await reader.readline()
        except BaseException:
            writer.close()
            raise
        writer.close()
        return None

    def _spawn_parent(self) -> None:
        """The listening socket is made here and inherited, so that it is there at once. What is
        run here ends as soon as it has left the parent behind, as nobody's child."""
        with contextlib.suppress(FileNotFoundError):
            self._address.unlink()
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
            (self._directory / PARENT_LOG).open("ab") as log,
        ):
            listener.bind(str(self._address))
            listener.listen(64)
            _run_briefly(
                [sys.executable, "-m", "runhook.runner.parent", str(listener.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,
                cwd=self._directory,
            )

    async def _disconnect(self) -> None:
        if self._streams:
            self._streams[1].close()
            with contextlib.suppress(OSError):
                await self._streams[1].wait_closed()
            self._streams = None


def _run_briefly(argv: list[str], **more: Any) -> None:
    """Run a program that ends soon; Unavailable if it does not."""
    with subprocess.Popen(argv, **more) as process:
        if not ended_within(process, SPAWN_SECONDS):
            process.kill()
            raise Unavailable(f"the runner parent did not start in {SPAWN_SECONDS:g} seconds")


def _cannot_end(pids: list[int]) -> str:
    if not pids:
        return ""
    numbers = ", ".join(map(str, pids))
    return f"what it left running cannot be ended (process {numbers}): look at it on the machine"


def _status(identity: Identity) -> Status:
    if lives(identity):
        return Status(Phase.RUNNING)
    rebooted = identity.boot_id != boot_id()
    return Status(Phase.GONE, reason="the machine was restarted while it ran" if rebooted else "")


def _identity(handle: Handle) -> Identity:
    return Identity(handle["boot_id"], handle["pid"], handle["start_time"])


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_reader(descriptor, told.set)
    try:
        await told.wait()
    finally:
        loop.remove_reader(descriptor)


def _signal(identity: Identity, number: int) -> bool:
    """Signal exactly this process; False if it is gone."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if identity_of(identity.pid) != identity:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True
