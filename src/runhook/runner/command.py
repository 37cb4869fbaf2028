"""Running the job's start script and its command, or its commands, under bash."""

import os
import shlex
import shutil
import time
from contextlib import suppress
from pathlib import Path

from runhook.runner.inotify import Growth
from runhook.runner.process import Control, Exit, Process, run, spawn
from runhook.runner.report import Reporter, StepFailed
from runhook.runner.several import Several, failure_of
from runhook.runner.spec import RunSpec
from runhook.runner.variables import ranked

NOT_FOUND, NOT_EXECUTABLE = 127, 126


class LogIndex:
    """When the log had which size: a line `<microseconds since 1970> <size>` in `log.index`, so
    that times can be shown although the work writes its log itself."""

    def __init__(self, directory: Path, reporter: Reporter) -> None:
        self._growth = Growth(directory / "log")
        self._reporter = reporter
        self._before = reporter.log_size()
        self._size = self._before
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._index = os.open(directory / "log.index", flags, 0o600)

    def fileno(self) -> int:
        return self._growth.fileno()

    def ready(self) -> None:
        """The log grew: note it, and the first time tell the server."""
        self._growth.clear()
        size = self._reporter.log_size()
        if size == self._size:
            return
        if self._size == self._before:
            self._reporter.emit("first_output")
        self._size = size
        with suppress(OSError):  # a full disk costs the times, not the run
            os.write(self._index, f"{time.time_ns() // 1000} {size}\n".encode())

    def close(self) -> None:
        """The inotify descriptor is left to the end of the process: closing one takes the kernel
        some 15 ms, which the outcome would wait for."""
        os.close(self._index)


def run_start_script(
    spec: RunSpec, workspace: Path, variables: dict[str, str], reporter: Reporter, control: Control
) -> dict[str, str]:
    """Run the start script in the workspace: the variables as it leaves them, exports included.

    StepFailed if it ends with anything but 0.
    """
    assert spec.start_script is not None
    dump = workspace.parent / "tmp" / ".variables"
    keep = f"trap 'status=$?; env -0 > {shlex.quote(str(dump))}; exit $status' EXIT\n"
    ended = run(
        [_bash(), "-c", keep + spec.start_script],
        cwd=workspace,
        env=variables,
        output=reporter.log_fd,
        control=control,
    )
    if not ended.ok:
        raise _failed("the start script", ended, control)
    return _dumped(dump, variables)


def _dumped(dump: Path, variables: dict[str, str]) -> dict[str, str]:
    try:
        entries = dump.read_bytes().split(b"\0")
    except FileNotFoundError:  # a script that ended by `exec` has no exports to tell
        return variables
    dump.unlink()
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if b"=" in entry)
    shell_only = ("_", "SHLVL", "PWD", "OLDPWD")
    return {name: value for name, _, value in pairs if name not in shell_only}


def run_command(
    spec: RunSpec, workspace: Path, variables: dict[str, str], reporter: Reporter, control: Control
) -> None:
    """Run the command, or all of them, to the end; what they write is the log. StepFailed unless
    each ends with 0."""
    assert spec.command is not None
    directory = working_directory(workspace, spec.working_directory)
    reporter.settle()
    index = LogIndex(workspace.parent, reporter)
    try:
        if spec.commands:
            _run_all(spec, directory, variables, reporter, control, index)
        else:
            _run_one(spec.command, directory, variables, reporter, control, index)
    finally:
        reporter.settle()
        index.ready()
        index.close()


def _run_one(
    command: str,
    directory: Path,
    variables: dict[str, str],
    reporter: Reporter,
    control: Control,
    index: LogIndex,
) -> None:
    ended = run(
        [_bash(), "-c", command],
        cwd=directory,
        env=variables,
        output=reporter.log_fd,
        control=control,
        observer=index,
    )
    if not ended.ok:
        raise _failed("the command", ended, control)


def _run_all(
    spec: RunSpec,
    directory: Path,
    variables: dict[str, str],
    reporter: Reporter,
    control: Control,
    index: LogIndex,
) -> None:
    """Those that fail do not end the others; the failure names each."""
    bash = _bash()

    def start(rank: int, output: int) -> Process:
        argv = [bash, "-c", spec.commands[rank]]
        enter, env = control.enter, ranked(variables, rank)
        return spawn(argv, directory, env, output, output, enter)

    several = Several(spec.commands, spec.at_once, start, reporter, control, index.ready)
    endings = several.run()
    failed = {rank: _failed("it", each, control) for rank, each in endings.items() if not each.ok}
    if failed:
        raise failure_of(failed, len(spec.commands))


def working_directory(workspace: Path, relative: str) -> Path:
    """The directory in the workspace; StepFailed if it is not there, or a link leads out of it."""
    directory = (workspace / relative).resolve()
    if not directory.is_relative_to(workspace.resolve()):
        raise StepFailed(f"the working directory {relative} leads out of the workspace")
    if not directory.is_dir():
        raise StepFailed(
            f"the working directory {relative} does not exist: "
            f"the workspace holds {_listing(workspace)}"
        )
    return directory


def _listing(workspace: Path) -> str:
    names = sorted(entry.name for entry in workspace.iterdir())
    return ", ".join(names[:10]) or "nothing: no repository is attached"


def _bash() -> str:
    bash = shutil.which("bash")
    if bash is None:
        raise StepFailed("cannot run a command because bash is not on this machine")
    return bash


def _failed(what: str, ended: Exit, control: Control) -> StepFailed:
    memory = control.bounds.explain()
    if memory:
        reason = memory
    elif ended.code == NOT_FOUND:
        reason = f"{what} exited with status 127: bash did not find a program that it names"
    elif ended.code == NOT_EXECUTABLE:
        reason = f"{what} exited with status 126: a file that it names cannot be executed"
    else:
        reason = f"{what} {ended.told}"
    return StepFailed(reason, ended.code, ended.signal)
