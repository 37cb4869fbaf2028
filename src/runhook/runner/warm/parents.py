"""One warm parent as the keeper has it: its box, its process, and the kernels it has forked."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runhook.runner import scratch, tree
from runhook.runner.sandbox import Confinement, OwnUser, Sandbox, confined
from runhook.runner.warm import messages, mounts
from runhook.runner.warm.plan import PROGRAM, Plan, worth_importing

KILLS = 40
PORTS = tuple(f"{each}_port" for each in ("shell", "iopub", "stdin", "control", "hb"))
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Guard:
    """What stands above a kernel: its pid, and a descriptor that means it and no later process of
    that number (pidfd_open(2))."""

    pid: int
    descriptor: int

    @classmethod
    def of(cls, pid: int) -> "Guard":
        """ProcessLookupError if it has ended."""
        return cls(pid, os.pidfd_open(pid))

    def end(self) -> None:
        """Kill what is below it, and it; what forks faster than it dies, again. Once."""
        for _ in range(KILLS):
            if tree.poll([self.descriptor], 0):
                break
            left = tree.below([self.pid])
            for pid in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
            tree.poll([self.descriptor], 0.05)
        os.close(self.descriptor)


@dataclass
class Line:
    """A kernel that was forked ahead and is nobody's yet. What it says about itself is what the
    code that it has imported may say; where it listens is known here."""

    name: str
    socket: socket.socket
    guard: Guard | None = None
    kernel: int = 0
    connection: dict[str, Any] | None = None

    def hear(self, message: messages.Message, sockets: Path) -> bool:
        """Note what it tells; False if that is nothing that belongs here."""
        try:
            match message.body:
                case {"guard": True} if self.guard is None:
                    self.guard = Guard.of(message.pid)
                case {"kernel": True}:
                    self.kernel = message.pid
                case {"ready": {"key": str(key), **ports}} if self.guard and self.kernel:
                    place = {"transport": "ipc", "ip": f"{sockets}/{self.name}/k", "key": key}
                    self.connection = {**place, **{port: int(str(ports[port])) for port in PORTS}}
                case _:
                    return False
        except (KeyError, TypeError, ValueError, OSError):
            return False
        return True


@dataclass
class Parent:
    """`modules` are imported ahead but for those `denied`. `lent` are the kernels that runs have,
    by name."""

    plan: Plan
    modules: list[str]
    denied: set[str]
    folder: Path
    state: Literal["importing", "ready", "spoiled"] = "importing"
    why: str = "its warm parent is still importing"
    used_at: float = field(default_factory=time.monotonic)
    began_at: float = field(default_factory=time.monotonic)
    lines: list[Line] = field(default_factory=list)
    lent: set[str] = field(default_factory=set)
    at: str = ""
    pid: int = 0
    count: int = 0
    box: Sandbox | None = None

    def start(self) -> None:
        """Have it import. StepFailed or OSError if it cannot be started; then nothing is left."""
        with ExitStack() as undone:
            self.sockets = Path(tempfile.mkdtemp(prefix="rh-"))
            undone.callback(self._remove_folders)
            base = self.folder if self.plan.view else self.sockets  # where its user gets to
            home, temporary = base / "home", base / "tmp"
            for each in (home, temporary):
                each.mkdir(parents=True, mode=0o700)
            for each in (home, temporary, self.sockets):
                if self.plan.uid is not None:
                    scratch.give(each, self.plan.uid)
            place = self._place(home, temporary, undone)
            self.control, theirs = messages.pair()
            undone.callback(self.control.close)
            with theirs:
                self.process = self._execute(theirs.fileno(), home, temporary, place)
            undone.callback(self._end_process)
            modules = worth_importing(self.modules, self.denied)
            watched, sockets = self.plan.watched, str(self.sockets)
            messages.send(self.control, modules=modules, watched=watched, sockets=sockets)
            undone.pop_all()

    def _place(self, home: Path, temporary: Path, undone: ExitStack) -> Confinement | None:
        if self.plan.view is not None:
            view = self.plan.box(temporary, (home, self.sockets))
            self.box = Sandbox(view, self.plan.uid)
            undone.callback(self.box.close)
            return self.box.complete()
        return OwnUser(self.plan.uid) if self.plan.uid is not None else None

    def _execute(
        self, control: int, home: Path, temporary: Path, place: Confinement | None
    ) -> "subprocess.Popen[bytes]":
        with PROGRAM.open("rb") as program:
            return subprocess.Popen(
                [self.plan.python, "-", str(control)],
                stdin=program,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=home,
                env={"HOME": str(home), "TMPDIR": str(temporary), **self.plan.variables},
                pass_fds=[control],
                start_new_session=True,
                preexec_fn=confined(place, list) if place else None,
            )

    def fork(self) -> Line:
        """Ask for a kernel; its line tells when it is ready. OSError if the parent is gone."""
        self.count += 1
        ours, theirs = messages.pair()
        line = Line(str(self.count), ours)
        with theirs:
            messages.send(self.control, (theirs.fileno(),), fork=line.name)
        self.lines.append(line)
        return line

    def show(self, folders: list[str]) -> None:
        """Have a run's folders seen by its kernel. OSError if that cannot be."""
        if self.box:
            mounts.show(*self.box.namespaces, folders)

    def end_kernel(self, name: str, guard: Guard, folders: list[str]) -> None:
        """End a kernel with all that it left, and take away what was its run's."""
        guard.end()
        if self.box and folders:
            mounts.hide(*self.box.namespaces, folders)
        scratch.remove_tree(self.sockets / name)

    def drop(self, line: Line) -> None:
        """Forget a kernel that nobody got."""
        self.lines.remove(line)
        line.socket.close()
        if line.guard:
            self.end_kernel(line.name, line.guard, [])

    def close(self) -> None:
        """End it, with everything in its box."""
        for line in list(self.lines):
            with suppress(OSError):
                self.drop(line)
        self.control.close()
        if self.box:
            self.box.close()
        self._end_process()
        self._remove_folders()

    def _end_process(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _remove_folders(self) -> None:
        for path in (self.folder, self.sockets):
            scratch.remove_tree(path)

    def memory(self) -> int:
        """Bytes that it and its waiting kernels take, each page counted once."""
        pids = [
            self.pid,
            *(pid for each in self.lines for pid in (each.guard and each.guard.pid, each.kernel)),
        ]
        return sum(proportional(pid) for pid in pids if pid)


def proportional(pid: int) -> int:
    """Memory of a process in bytes, with its part of what it shares (proc(5), `smaps_rollup`)."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    return 0
