"""The warm parent: imports what a job's notebooks import, and forks a kernel for each run.

It runs in the job's environment, where nothing of ours is: only the standard library and ipykernel
are imported, and its text is read from standard input. `argv[1]` is the descriptor of a
SOCK_SEQPACKET socket to the keeper; every message is one JSON object.

    ← {"modules": […], "watched": […], "sockets": folder}       first, once
    → {"importing": name}, {"ready": count}
    → {"failed": why}, or {"denied": name, "why": …}  and it ends; leave that one out
    ← {"fork": name} with the descriptor of a line              a kernel, named after its folder
    → {"refused": why}                                          it cannot fork any more

A line is the socket between one kernel and its run; nothing of a run's passes through this process:

    → {"guard": true}, {"kernel": true}      who they are, by the credentials of the message
    → {"ready": connection}                  it listens; everything of its run is still to come
    ← {"variables": …, "directory": …}
    → {"begun": true}                        and the notebook may be executed
    → {"ended": status}                      as waitpid(2) tells it

It forks only while it has a single thread, and has no socket of ZeroMQ, event loop or database
before the fork. The guard is the subreaper of its kernel, so whatever that leaves behind is found
below it (prctl(2)).
"""

from __future__ import annotations

import array
import atexit
import contextlib
import ctypes
import gc
import importlib.util
import json
import os
import pathlib
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LONGEST = 1 << 20
INLINE = "module://matplotlib_inline.backend_inline"
QUIET = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""While modules are imported: these would start threads, which no fork takes along."""
OWN = (
    "ipykernel.ipkernel ipykernel.debugger debugpy.server.api IPython.core.debugger "
    "IPython.core.completerlib IPython.core.oinspect IPython.extensions.storemagic sqlite3 "
    "psutil tornado.platform.asyncio tornado.locks tornado.queues faulthandler"
).split()
"""What ipykernel imports when it is made ready, at its leisure."""

BEFORE = dict(os.environ)
"""The variables that this process was started with."""


def receive(line: socket.socket) -> tuple[Any, int | None]:
    """A message and the descriptor that came with it, if any; (None, None) at the end."""
    data, ancillary, _, _ = line.recvmsg(LONGEST, socket.CMSG_SPACE(64))
    passed = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            passed.frombytes(payload[: len(payload) - len(payload) % passed.itemsize])
    return (json.loads(data) if data else None), (passed[0] if passed else None)


def tell(line: socket.socket, **message: object) -> None:
    line.send(json.dumps(message).encode())


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def descriptors() -> set[str]:
    """What is open: a fork would share the place in a file, or a connection, with its parent."""
    listing = os.open("/proc/self/fd", os.O_RDONLY)
    try:
        return set(os.listdir(listing)) - {str(listing)}
    finally:
        os.close(listing)


def main() -> None:
    """Import, then fork at each request, until the keeper is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.setblocking(True)
    if sys.path[0] in ("", os.getcwd()):
        del sys.path[0]  # as ipykernel_launcher does; the kernel puts it back
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel of the machine reaps
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order, _ = receive(control)
    if not warm_up(control, order["modules"], order["watched"]):
        return
    gc.collect()
    gc.freeze()
    tell(control, ready=len(sys.modules))
    while True:
        request, descriptor = receive(control)
        if request is None or descriptor is None:
            return
        if threads() != 1:
            os.close(descriptor)
            tell(control, refused="something that it imports has started a thread")
            continue
        if os.fork() == 0:
            control.close()
            os.set_inheritable(descriptor, False)
            guard(socket.socket(fileno=descriptor), order, request["fork"])
        os.close(descriptor)


class Watched(dict[bytes, bytes]):
    """The variables, noting who asks for one that differs between runs: what is imported ahead must
    not depend on it."""

    def __init__(self, given: Any, watched: list[str]) -> None:
        super().__init__(given)
        self.watched = {os.fsencode(name) for name in watched}
        self.asked: str | None = None

    def __getitem__(self, name: bytes) -> bytes:
        if name in self.watched:
            self.asked = os.fsdecode(name)
        return super().__getitem__(name)


def warm_up(control: socket.socket, modules: list[str], watched: list[str]) -> bool:
    """Import the kernel's own modules and those named; False if this process is of no use then."""
    kept = {name: os.environ.get(name) for name in (*QUIET, "MPLBACKEND")}
    os.environ.update(QUIET)
    os.environ.setdefault("MPLBACKEND", INLINE)
    variables: Any = os.environ
    variables._data = lookups = Watched(variables._data, watched)
    try:
        importlib.import_module("ipykernel.kernelapp")
    except Exception as error:
        tell(control, failed=f"the environment's ipykernel cannot be imported: {error}")
        return False
    for name in (*OWN, *modules):
        if name in sys.modules:
            continue
        lookups.asked, open_before = None, descriptors()
        tell(control, importing=name)
        with contextlib.suppress(Exception):
            importlib.import_module(name)
        why = None
        if threads() != 1:
            why = "starts threads when it is imported"
        elif descriptors() - open_before:
            why = "keeps something open when it is imported"
        elif lookups.asked and name not in OWN:
            why = f"looks up {lookups.asked} when it is imported"
        if why:
            tell(control, denied=name, why=why)
            return False
    variables._data = dict(lookups)
    for name, value in kept.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return True


def guard(line: socket.socket, order: Any, name: str) -> None:
    """In the fork: start the kernel, tell how it ends, and stay while anything of it lives."""
    status = 1
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        tell(line, guard=True)
        kernel = os.fork()
        if kernel == 0:
            status = become_kernel(line, order, name)
        else:
            wait_for_all(line, kernel)
            status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(bool(ending.code))
    finally:
        os._exit(status & 0xFF)


def wait_for_all(line: socket.socket, kernel: int) -> None:
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return
        if pid == kernel:
            with contextlib.suppress(OSError):
                tell(line, ended=status)


def become_kernel(line: socket.socket, order: Any, name: str) -> int:
    """The kernel of one run, first without anything of that run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.umask(0o022)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tell(line, kernel=True)
    folder = os.path.join(order["sockets"], name)
    os.makedirs(folder, mode=0o700)
    os.environ["IPYTHONDIR"] = os.path.join(folder, "ipython")
    app = made_ready(folder)
    connection = {each: getattr(app, each) for each in ("ip", "transport")}
    connection.update({f"{each}_port": port for each, port in app._ports.items()})
    tell(line, ready={**connection, "key": app.session.key.decode()})
    given, _ = receive(line)
    if given is None:  # nobody wants it any more
        return 0
    begin(app, given)
    tell(line, begun=True)
    line.close()
    app.start()
    finish(app)
    return 0


def made_ready(folder: str) -> Any:
    """An ipykernel that listens, and has not begun to execute."""
    app = importlib.import_module("ipykernel.kernelapp").IPKernelApp.instance()
    app.initialize(
        [
            "-f",
            os.path.join(folder, "c"),
            "--transport=ipc",
            f"--ip={folder}/k",
            "--IPKernelApp.parent_handle=0",
            "--HistoryManager.hist_file=:memory:",
            "--log-level=CRITICAL",  # else it tells people on its output how to use it
        ]
    )
    return app


def begin(app: Any, given: Any) -> None:
    """Become what a kernel started for this run would be."""
    become_environment(given["variables"])
    sys.argv[:] = [launcher(), "-f", app.connection_file]
    os.chdir(given["directory"])
    time.tzset()
    random.seed()
    importlib.invalidate_caches()
    loaded: dict[str, Any] = dict(sys.modules)
    if "tempfile" in loaded:
        loaded["tempfile"].tempdir = None
    if "numpy.random" in loaded:
        loaded["numpy.random"].seed()
    let_blas_use_all()
    settle_matplotlib()
    shell = app.shell
    with contextlib.suppress(AttributeError):
        shell.init_environment()
    shell.starting_dir = given["directory"]
    shell.user_ns["_dh"][:] = [pathlib.Path(given["directory"])]


def become_environment(variables: dict[str, str]) -> None:
    """The run's variables, and what imported modules have set; those of a shell are set again by
    the kernel's own."""
    added = {name: value for name, value in os.environ.items() if BEFORE.get(name) != value}
    added.pop("IPYTHONDIR", None)
    os.environ.clear()
    os.environ.update({**added, **variables})
    os.environ.setdefault("MPLBACKEND", INLINE)


def launcher() -> str:
    spec = importlib.util.find_spec("ipykernel_launcher")
    return spec.origin if spec and spec.origin else "ipykernel_launcher"


def let_blas_use_all() -> None:
    """OpenBLAS was imported with one thread; here it may have as many as it would have begun with
    (the names are those that threadpoolctl looks for)."""
    variables = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
    wanted = next((os.environ[name] for name in variables if name in os.environ), "")
    count = int(wanted) if wanted.isdecimal() else len(os.sched_getaffinity(0))
    with open("/proc/self/maps") as maps:
        paths = {line.split(None, 5)[-1].strip() for line in maps if "openblas" in line}
    for path in paths:
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(path)
            for name in openblas_names():
                if hasattr(library, name):
                    getattr(library, name)(ctypes.c_int(max(1, count)))


def openblas_names() -> Iterator[str]:
    for prefix in ("", "scipy_"):
        for suffix in ("", "64_", "_64"):
            yield f"{prefix}openblas_set_num_threads{suffix}"


def settle_matplotlib() -> None:
    """What matplotlib does at its import, where there was no shell yet and another environment."""
    if "matplotlib" in sys.modules:
        matplotlib = sys.modules["matplotlib"]
        with contextlib.suppress(Exception):
            for name in ("get_configdir", "get_cachedir"):
                getattr(getattr(matplotlib, name), "cache_clear", lambda: None)()
            matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]
    if "matplotlib.pyplot" in sys.modules:
        with contextlib.suppress(Exception):
            sys.modules["matplotlib.pyplot"].install_repl_displayhook()


def finish(app: Any) -> None:
    """What the end of a Python program does, but for the sockets, which go with the process:
    closing them in order waits for others."""
    wait_for_threads = getattr(threading, "_shutdown", lambda: None)
    with contextlib.suppress(BaseException):
        wait_for_threads()
    atexit.unregister(app.close)
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()


if __name__ == "__main__":
    main()
