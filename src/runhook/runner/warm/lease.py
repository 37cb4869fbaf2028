"""What a runner has of a warm parent: one kernel, for as long as the runner lives or wants it."""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runhook.runner import tree
from runhook.runner.identity import identity_of
from runhook.runner.process import Exit
from runhook.runner.spec import Identity
from runhook.runner.warm import messages
from runhook.runner.warm.plan import Plan

TAKE_SECONDS, BEGIN_SECONDS = 4.0, 4.0


@dataclass
class Lease:
    """A kernel that listens and has not begun. Its process and its guard, which is above it, are
    numbers of this side of the box."""

    keeper: "Door"
    line: socket.socket
    guard: int
    process: int
    connection: dict[str, Any]
    begun: bool = False
    _exit: Exit | None = None
    _root: Identity | None = None

    def begin(self, variables: Mapping[str, str], directory: Path, doors: list[int]) -> None:
        """Make it the run's, and found below this process: from now on the notebook may be
        executed. Its box sees the run's folders only from here on, when all that the runner does
        in them is done: other kernels are in there. `doors` are those of the control groups that
        hold the run (`Group.doors`).
        OSError if it cannot be had."""
        root = identity_of(self.guard)
        try:
            if root is None:
                raise OSError("the guard of the warm kernel has ended")
            for door in doors:
                for pid in (self.guard, self.process):
                    os.write(door, str(pid).encode())
        finally:
            for door in doors:
                os.close(door)
        self.keeper.show()
        messages.send(self.line, variables=dict(variables), directory=str(directory))
        self.line.settimeout(BEGIN_SECONDS)
        answer = messages.receive(self.line)
        if answer is None or not answer.body.get("begun"):
            raise OSError("the warm kernel ended before it began")
        self.line.setblocking(False)
        tree.bystanders.add(self.guard)
        tree.roots.add(root)
        self._root = root
        self.begun = True

    def fileno(self) -> int:
        """Readable once the kernel has ended."""
        return self.line.fileno()

    def ended(self) -> Exit:
        """How it ended, to be asked when it has. Without a word of its guard it was killed, guard
        and all; then the keeper hears that something may have been left."""
        if self._exit is None:
            message = messages.receive(self.line)
            status = message.body.get("ended") if message else None
            if isinstance(status, int):
                code = os.waitstatus_to_exitcode(status)
                self._exit = Exit(code, None) if code >= 0 else Exit(None, -code)
            else:
                self.keeper.tell(op="spoiled", why="a run has killed the guard of its kernel")
                self._exit = Exit(None, 9)
        return self._exit

    def close(self) -> None:
        """Have the keeper end all of it. Safe to repeat."""
        if self._root:
            tree.roots.discard(self._root)
        tree.bystanders.discard(self.guard)
        self.line.close()
        self.keeper.close()


class Door:
    """A connection to the keeper, and the plan of the parent that is wanted."""

    def __init__(self, address: str, plan: Plan) -> None:
        self.plan = plan
        self._address = address
        self._folders: list[str] = []
        self._socket = _new_socket()

    def take(self, folders: Sequence[Path]) -> Lease | str:
        """A kernel that is to see these folders of the run, or why there is none."""
        self._folders = list(map(str, folders))
        try:
            self._socket.settimeout(TAKE_SECONDS)
            self._socket.connect(self._address)
            messages.send(self._socket, op="take", key=self.plan.key)
            answer = messages.receive(self._socket)
        except TimeoutError:
            self._reopen()
            return f"no warm kernel was ready within {TAKE_SECONDS:g} seconds"
        except OSError as error:
            return f"the keeper of warm parents cannot be reached: {error}"
        if answer is None:
            return "the keeper of warm parents has just ended"
        about = answer.body.get("kernel")
        if about is None or not answer.descriptors:
            return str(answer.body.get("cold"))
        line = socket.socket(fileno=answer.descriptors[0])
        return Lease(self, line, about["guard"], about["process"], about["connection"])

    def show(self) -> None:
        """Have the kernel's box see the folders of the run. OSError if that cannot be."""
        self._socket.settimeout(BEGIN_SECONDS)
        messages.send(self._socket, op="show", folders=self._folders)
        answer = messages.receive(self._socket)
        if answer is None or not answer.body.get("shown"):
            raise OSError(answer.body.get("cold") if answer else "its keeper has ended")

    def teach(self, modules: Sequence[str]) -> None:
        """Tell what the run had imported in the end."""
        self.tell(op="learn", plan=self.plan.to_json(), modules=list(modules))

    def tell(self, **body: Any) -> None:
        """Without an answer; whether it is heard is of no consequence here."""
        with suppress(OSError):
            messages.send(self._socket, **body)

    def close(self) -> None:
        self._socket.close()

    def _reopen(self) -> None:
        """An answer that comes too late is to reach nobody."""
        self.close()
        self._socket = _new_socket()
        with suppress(OSError):
            self._socket.connect(self._address)


def _new_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, messages.LONGEST)
    return made
