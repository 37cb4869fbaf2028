"""One attempt: claim → checkout → environment → start script → work → collect → result.

`run_attempt` is called in a fork of the parent; `python -m runhook.runner DIRECTORY`, with the
secrets as JSON on standard input, does the same without one.
"""

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from runhook.runner import scratch
from runhook.runner.bytecode import compile_bytecode
from runhook.runner.checkout import check_out
from runhook.runner.collect import (
    folder_of,
    keep_artifacts,
    keep_notebooks,
    keep_value,
    mask_notebooks,
    notebooks_in,
)
from runhook.runner.command import run_command, run_start_script, working_directory
from runhook.runner.confine import Place, open_way, require_enforceable
from runhook.runner.environment import Prepared, foresee, prepare
from runhook.runner.held import Hold
from runhook.runner.identity import own_identity
from runhook.runner.limits import Bounds, allocated
from runhook.runner.masking import Masker
from runhook.runner.parameters import tell_parameters
from runhook.runner.patterns import keep_matching
from runhook.runner.process import Control, Stopped
from runhook.runner.report import Bar, Reporter, StepFailed
from runhook.runner.secret_files import place_files, place_texts
from runhook.runner.spec import Result, RunSpec, Secrets, make_reserve, write_whole
from runhook.runner.syscalls import no_new_privileges
from runhook.runner.tree import descendants_stopped, end_descendants
from runhook.runner.variables import work_variables
from runhook.runner.warm.start import WarmStart, seek

LEFTOVER_GRACE = 2.0


def run_attempt(
    directory: Path, secrets: Secrets, claimed: Callable[[], None] = lambda: None
) -> None:
    """Run the attempt in `directory`, unless somebody has claimed it: then nothing happens.

    `claimed` is called once it is ours. Whatever happens after that, a result is written.
    """
    if not claim(directory):
        return
    claimed()
    no_new_privileges()
    os.umask(0o022)  # another system user is to read what is made here, where that is meant
    make_reserve(directory)
    spec = RunSpec.load(directory)
    masker = Masker(secrets.masked)
    reporter = Reporter(directory, spec.hint_socket, masker, pipe=secrets.given)
    control = Control(spec.grace, Bounds(spec.limits, directory))
    attempt = _Attempt(spec, secrets, reporter, control)
    result = _result(attempt)
    if _announced(attempt):
        result.save(directory)
        reporter.hint()
        try:
            attempt.hold.stay(directory, control)
        finally:
            end_descendants(0)
            control.bounds.close()
    else:
        control.bounds.close()
        result.save(directory)
        reporter.hint()
    attempt.tidy()


def claim(directory: Path) -> bool:
    """Make `runner.json`, whole, as the first to do so. False: somebody else runs the attempt."""
    fresh = directory / f".runner.{os.getpid()}"
    write_whole(fresh, json.dumps(asdict(own_identity())))
    try:
        os.link(fresh, directory / "runner.json")
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    return True


def _result(attempt: "_Attempt") -> Result:
    """Do the work; every ending becomes a result."""
    spec, reporter, control = attempt.spec, attempt.reporter, attempt.control
    try:
        attempt.work()
    except StepFailed as error:
        facts = (error.exit_code, error.signal, reporter.step_name, error.reason)
        result = Result("failed", time.time(), *facts)
    except Stopped as error:
        stop = error.stop
        result = Result(stop.outcome, time.time(), step=reporter.step_name, reason=stop.reason)
    except Exception as error:  # ours: the run is told, the details are kept for whoever mends it
        trace = reporter.masker.mask_text(traceback.format_exc())
        with suppress(OSError):
            write_whole(Path(spec.directory) / "runner.err", trace)
        reason = f"the runner failed: {type(error).__name__}: {error}"
        result = Result("failed", time.time(), step=reporter.step_name, reason=reason)
    else:
        code = 0 if spec.command else None
        result = Result("succeeded", time.time(), code)
    if not attempt.hold.connection:
        end_descendants(min(control.grace, LEFTOVER_GRACE))
    reporter.close_log()
    with descendants_stopped():  # of a kernel that is held
        _collect(attempt)
    return replace(result, reason=reporter.masker.mask_value(result.reason))


def _announced(attempt: "_Attempt") -> bool:
    """Say that a kernel is held, if one is. Where that cannot be written, as on a full disk, it is
    ended: nobody would find it, and the result matters more."""
    hold = attempt.hold
    if not hold.connection:
        return False
    try:
        hold.announce(attempt.spec)
    except OSError:
        hold.connection = None
        end_descendants(min(attempt.control.grace, LEFTOVER_GRACE))
    return hold.connection is not None


def _collect(attempt: "_Attempt") -> None:
    """What the work left may be made to mislead; whatever it does here, the result is told. What
    could not be looked at is not kept where secrets may stand in it."""
    artifacts, reporter = Path(attempt.spec.directory) / scratch.KEPT, attempt.reporter
    try:
        _keep_matching(attempt, artifacts)
        keep_artifacts(artifacts, reporter)
        if attempt.secrets.given:
            mask_notebooks(artifacts, reporter)
    except Exception as error:
        reporter.emit("notice", message=f"the artifacts cannot be kept: {type(error).__name__}")
        if attempt.secrets.given:
            scratch.remove_tree(artifacts)


def _keep_matching(attempt: "_Attempt", artifacts: Path) -> None:
    """What the job's patterns match, on every ending."""
    spec, limit = attempt.spec, attempt.spec.limits.disk
    if not spec.artifacts:
        return
    workspace = Path(spec.directory) / "workspace"
    room = None if limit is None else max(0, limit - allocated(Path(spec.directory)))
    place = workspace / spec.working_directory
    keep_matching(workspace, place, spec.artifacts, artifacts, attempt.reporter, room)


@dataclass
class _Attempt:
    """The steps, in order."""

    spec: RunSpec
    secrets: Secrets
    reporter: Reporter
    control: Control
    prepared: Prepared | None = None
    place: Place | None = None
    sockets: tempfile.TemporaryDirectory[str] | None = None
    warm: WarmStart | None = None

    def __post_init__(self) -> None:
        self.hold = Hold(self.spec.hold)

    def work(self) -> None:
        """The whole attempt; an error says which step failed."""
        require_enforceable(self.spec)
        open_way(self.spec)
        directory = Path(self.spec.directory)
        workspace = scratch.make(directory)
        place_texts(directory / "home", self.spec.files)
        place_files(directory / "home", self.secrets.files)
        self._tell_limits()
        for notice in self.spec.notices:
            self.reporter.say(notice)
        self.place = self._place(workspace)
        if self.spec.repositories:
            with self._step("checkout"):
                facts = check_out(self.spec, self.secrets, self.reporter, self.control, workspace)
                tell_parameters(self.spec, facts, workspace, self.reporter)
        with self._step("environment") as bar:
            prepared = prepare(self.spec, self.reporter, self.control, workspace)
            bar.note = "cached" if prepared.cached else "built"
            self.prepared = prepared
            self._settle(prepared)
        variables = work_variables(self.spec, self.secrets, prepared.variables, os.environ)
        if self.spec.start_script:
            with self._step("start_script"):
                variables = run_start_script(
                    self.spec, workspace, variables, self.reporter, self.control
                )
        self.control.check()
        returned = None
        if self.spec.command is not None:
            self._command(workspace, variables)
        else:
            returned = self._notebook(workspace, variables, prepared)
        end_descendants(min(self.control.grace, LEFTOVER_GRACE))
        keep_value(directory, self.reporter, returned)

    def _place(self, workspace: Path) -> Place:
        """The place of the work, begun to be made if it is known already what will be in it. A
        kernel's sockets stand in a folder of their own: their addresses have to be short."""
        shared = []
        if self.spec.notebook:
            self.sockets = tempfile.TemporaryDirectory(prefix="rh-")
            shared.append(Path(self.sockets.name))
        place = Place(self.spec, shared)
        foreseen = foresee(self.spec, self.reporter, self.control, workspace)
        if foreseen:
            self._seek(place, foreseen)
            if not (self.warm and self.warm.lease):
                place.begin(foreseen)
        return place

    def _seek(self, place: Place, prepared: Prepared) -> None:
        if self.spec.warm and self.spec.notebook:
            self.warm = seek(self.spec, self.secrets, place, prepared)

    def _settle(self, prepared: Prepared) -> None:
        """Have the work's place ready: a box that it shares, if its kernel waits in one."""
        assert self.place
        place = self.place
        if self.warm is None:
            self._seek(place, prepared)

        def own_place() -> None:
            self.control.confinement = place.ready(prepared)

        if self.warm:
            self.warm.fall_back = own_place
        if self.warm and self.warm.fits(prepared):
            place.give(prepared)
        else:
            own_place()

    def tidy(self) -> None:
        """Put away what the work had, once its result is told."""
        if self.warm:
            self.warm.close()
        if self.place:
            self.place.close()
        if self.sockets:
            self.sockets.cleanup()
        scratch.remove(Path(self.spec.directory))
        if self.prepared:
            compile_bytecode(self.prepared, self.spec.isolation, self.control)

    @contextmanager
    def _step(self, name: str) -> Iterator[Bar]:
        with self.reporter.step(name) as bar, self.control.step(name):
            yield bar

    def _tell_limits(self) -> None:
        """What is enforced is an event; what is not is a line in the log, too."""
        bounds = self.control.bounds
        if bounds.enforced or bounds.not_enforced:
            told = {"enforced": bounds.enforced, "not_enforced": bounds.not_enforced}
            self.reporter.emit("limits", **told)
        for sentence in bounds.not_enforced:
            self.reporter.say(f"not enforced: {sentence}")

    def _command(self, workspace: Path, variables: dict[str, str]) -> None:
        with self._step("command"):
            place = working_directory(workspace, self.spec.working_directory)
            with folder_of(workspace, place) as folder:
                before = notebooks_in(folder)
            try:
                run_command(self.spec, workspace, variables, self.reporter, self.control)
            finally:
                end_descendants(min(self.control.grace, LEFTOVER_GRACE))
                artifacts, masker = Path(self.spec.directory) / scratch.KEPT, self.reporter.masker
                with suppress(OSError), folder_of(workspace, place) as folder:
                    keep_notebooks(folder, before, artifacts, masker)

    def _notebook(
        self, workspace: Path, variables: dict[str, str], prepared: Prepared
    ) -> bytes | None:
        from runhook.runner.notebook import run_notebook  # noqa: PLC0415  costs 0.3 s

        assert self.sockets is not None
        sockets = Path(self.sockets.name)
        with self._step("notebook") as bar:
            try:
                return run_notebook(
                    self.spec,
                    workspace,
                    variables,
                    prepared.python,
                    self.reporter,
                    self.control,
                    sockets,
                    self.warm,
                    self.hold if self.hold.seconds else None,
                )
            finally:
                bar.note = self.warm.note if self.warm else ""


if __name__ == "__main__":
    run_attempt(Path(sys.argv[1]), Secrets.from_json(json.load(sys.stdin)))
