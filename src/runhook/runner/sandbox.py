"""The box of an attempt: bubblewrap makes and holds its namespaces, the work is put into them.

    runner ─┬─ bwrap ── bwrap (pid 1 of the box; takes in orphans) ── cat (waits; ends the box)
            └─ doorkeeper (a fork of the runner, outside) ── the work (pid 3 or so of the box)

The work is no child of bubblewrap, for two reasons: bubblewrap tells an ending by a signal as an
exit code, and takes the box with it when it is itself asked to end. The doorkeeper is the work's
real parent. It hears no polite signal, ends just as the work did, by the same signal even, and
takes the work along if it is killed. So all that stands around it, `Popen` and Jupyter's kernel
manager, deals with it as if it were the work. Only the work itself gets INT and TERM
(`tree.bystanders`).
"""

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, Protocol, Self

from runhook.runner import syscalls, tree
from runhook.runner.report import StepFailed
from runhook.runner.view import View, options

PATIENCE = 10.0
MOST_DESCRIPTORS = 1 << 20
POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PASSWD = Path("/etc/passwd")
USER = "runhook"


class Confinement(Protocol):
    """Where the work is put. `uid` is its system user, None for the server's own."""

    uid: int | None

    def enter(self, doors: Sequence[int]) -> None:
        """For a forked process to call before it executes the work. `doors` are files of control
        groups, in which it writes itself down on the way."""

    def close(self) -> None:
        """End what still lives in it. Safe to repeat."""


class OwnUser:
    """No box: only another system user."""

    def __init__(self, uid: int) -> None:
        self.uid: int | None = uid

    def enter(self, doors: Sequence[int]) -> None:
        syscalls.end_with_parent()
        _step_in(doors, self.uid, os.getcwd())

    def close(self) -> None:
        return


class Sandbox:
    """A box that bubblewrap begins to make at once, beside what else is to be done; nobody enters
    before it is `complete`."""

    def __init__(self, view: View, uid: int | None) -> None:
        self.uid = uid
        self._kinds = _kinds(view.network)
        self._told = os.memfd_create("bwrap")
        self._stop, self._heard, self._process = _start(view, uid, self._told)
        self._members = {self._process.pid}
        self._init = 0
        tree.strangers.add(self._process.pid)  # so far nothing of the work can be below it

    def complete(self) -> Self:
        """Wait until it is made: the byte that `cat` was given has come back. StepFailed if
        bubblewrap cannot make it."""
        if os.read(self._heard, 1) != b".":
            self._process.wait()
            words = os.pread(self._told, 4096, 0).decode("utf-8", "replace").strip()
            raise StepFailed(f"cannot make a sandbox: {words or 'bubblewrap gave no reason'}")
        self._init = _only_child(self._process.pid)
        self._members |= {self._init, _only_child(self._init)}
        tree.strangers.discard(self._process.pid)
        tree.bystanders.update(self._members)
        tree.inits.add(self._init)
        return self

    @property
    def namespaces(self) -> tuple[int, int]:
        """Its first process, and which kinds of namespaces it has."""
        return self._init, self._kinds

    def enter(self, doors: Sequence[int]) -> None:
        """Returns as the work, in the box; the doorkeeper never returns."""
        place = os.getcwd()
        syscalls.hide_memory()
        syscalls.end_with_parent()
        syscalls.join_namespaces(os.pidfd_open(self._init), self._kinds)
        work = os.fork()
        if work:
            _keep_the_door(work)
        syscalls.end_with_parent()
        os.setsid()
        _step_in(doors, self.uid, place)

    def close(self) -> None:
        if self._stop < 0:
            return
        for descriptor in (self._stop, self._heard, self._told):
            os.close(descriptor)
        self._stop = -1
        if not tree.ended_within(self._process, PATIENCE):
            self._process.kill()
            self._process.wait()
        tree.strangers.discard(self._process.pid)
        tree.bystanders.difference_update(self._members)
        tree.inits.discard(self._init)


def confined(enter: Confinement | None, doors: Callable[[], list[int]]) -> Callable[[], None]:
    """What a forked process is to call before it becomes the work."""

    def step_in() -> None:
        if enter:
            enter.enter(doors())
        else:
            _sign(doors())

    return step_in


def program() -> str | None:
    """Where bubblewrap is, if it is here."""
    return shutil.which("bwrap")


def _kinds(network: bool) -> int:
    kinds = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC
    kinds |= syscalls.CLONE_NEWUTS
    kinds |= 0 if network else syscalls.CLONE_NEWNET
    return kinds if os.geteuid() == 0 else kinds | syscalls.CLONE_NEWUSER


def _start(view: View, uid: int | None, told: int) -> tuple[int, int, subprocess.Popen[bytes]]:
    """Bubblewrap at work, the descriptor that holds its box open, and the one where a byte comes
    once that is complete; what goes wrong is written to `told`."""
    bubblewrap = program()
    if bubblewrap is None:
        raise StepFailed("cannot make a sandbox because bubblewrap is not on this machine any more")
    passed = [] if uid is None else [_account(uid)]
    view = replace(view, account=passed[0] if passed else None)
    passed.append(_in_memory(b"".join(os.fsencode(word) + b"\0" for word in options(view))))
    given, hold = os.pipe2(os.O_CLOEXEC)
    heard, back = os.pipe2(os.O_CLOEXEC)
    try:
        with _blocked(POLITE):
            process = subprocess.Popen(
                [bubblewrap, "--args", str(passed[-1]), "--", "cat"],
                stdin=given,
                stdout=back,
                stderr=told,
                pass_fds=passed,
                env={"PATH": os.defpath},
                cwd="/",
                start_new_session=True,
            )
    finally:
        for descriptor in (given, back, *passed):
            os.close(descriptor)
    os.write(hold, b".")
    return hold, heard, process


@contextmanager
def _blocked(numbers: Collection[int]) -> Iterator[None]:
    """What is started meanwhile never hears these signals: a box is ended by its holder alone. One
    for this process comes a little later. (Cheaper than a function that ignores them in the fork,
    for which there would have to be a fork.)"""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _account(uid: int) -> int:
    """The machine's accounts and one for the work: ssh and others refuse a user without one."""
    own = f"\n{USER}:x:{uid}:{uid}:a run:/:/bin/bash\n"
    return _in_memory(PASSWD.read_bytes().rstrip(b"\n") + own.encode())


def _in_memory(data: bytes) -> int:
    """A file without a name, for bubblewrap to read."""
    descriptor = os.memfd_create("runhook")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _only_child(pid: int) -> int:
    """The child of bubblewrap, which has one when the box is complete."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        if found:
            return int(found[0])
        tree.poll([], 0.001)
    raise StepFailed("cannot make a sandbox: bubblewrap does not tell which process holds it")


def _step_in(doors: Sequence[int], uid: int | None, place: str) -> None:
    """Give up what the runner may do, as far as the work goes, and stand where it is to run."""
    _sign(doors)
    if uid is not None:
        _give_output(uid)
        syscalls.become(uid)
        syscalls.end_with_parent()  # another user, another setting
    syscalls.no_new_privileges()
    os.chdir(place)


def _sign(doors: Sequence[int]) -> None:
    for door in doors:
        os.write(door, b"0")
        os.close(door)


def _give_output(uid: int) -> None:
    """So that the work may open /dev/stdout and /dev/stderr by name, as scripts do."""
    for descriptor in (1, 2):
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
            os.fchown(descriptor, uid, uid)


def _keep_the_door(work: int) -> NoReturn:
    """Wait for the work, holding nothing of its, and end as it did."""
    try:
        for polite in POLITE:
            signal.signal(polite, signal.SIG_IGN)
        os.closerange(0, MOST_DESCRIPTORS)
        _, ending = os.waitpid(work, 0)
        if os.WIFSIGNALED(ending):
            number = os.WTERMSIG(ending)
            if number != signal.SIGKILL:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            os.kill(os.getpid(), number)
            time.sleep(1)
        os._exit(os.waitstatus_to_exitcode(ending) & 0xFF)
    finally:
        os._exit(125)
