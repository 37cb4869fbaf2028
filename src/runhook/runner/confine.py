"""Putting the work of an attempt in its place: a box, a system user of its own, or neither."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runhook.runner import scratch
from runhook.runner.environment import Prepared
from runhook.runner.levels import BOXED, NAMES, OWN_USER, own_uid
from runhook.runner.mirror import mirror_folder
from runhook.runner.report import StepFailed
from runhook.runner.sandbox import Confinement, OwnUser, Sandbox
from runhook.runner.spec import RunSpec
from runhook.runner.view import View, certificates, prefix_of

ENTERED = 0o711


def require_enforceable(spec: RunSpec) -> None:
    """StepFailed if the work is to have no network, where nothing here can take it away."""
    if not spec.isolation.network and spec.isolation.level not in BOXED:
        raise StepFailed(
            "the job is to run without network, which cannot be enforced here because the "
            f"isolation is {NAMES[spec.isolation.level]}: `runhook doctor` says what is missing"
        )


def open_way(spec: RunSpec) -> None:
    """Where there is no box, but another system user, let that pass to what it is given."""
    if spec.isolation.level == "own_user":
        directory = Path(spec.directory)
        for folder in (directory, directory.parent, directory.parent.parent):
            os.chmod(folder, ENTERED)


@dataclass
class Place:
    """Where the work of an attempt is put, once what it needs is known. `shared` are more folders
    that it may write to."""

    spec: RunSpec
    shared: Sequence[Path] = ()
    box: Sandbox | None = None
    _folder: Path | None = None

    @property
    def uid(self) -> int | None:
        """The system user of the job; None for the server's own."""
        return own_uid(self.spec.job_id) if self.spec.isolation.level in OWN_USER else None

    def begin(self, prepared: Prepared) -> None:
        """Have the box made while something else is done. It is of use if the environment turns
        out to be this one."""
        if self.spec.isolation.level in BOXED and all(each.is_dir() for each in self._mirrors()):
            self.box = Sandbox(self._view(prepared), self.uid)
            self._folder = prepared.folder

    def give(self, prepared: Prepared) -> None:
        """Make all that the work may write its own."""
        if self.uid is not None:
            for folder in self._own(prepared):
                scratch.give(folder, self.uid)

    def ready(self, prepared: Prepared) -> Confinement | None:
        """The place, with all in it that the work may write made its own; None where that is the
        runner's own place. StepFailed if it cannot be made."""
        self.give(prepared)
        if self.spec.isolation.level in BOXED:
            if self._folder != prepared.folder:
                self.close()
                self.box = Sandbox(self._view(prepared), self.uid)
            assert self.box
            return self.box.complete()
        return None if self.uid is None else OwnUser(self.uid)

    def close(self) -> None:
        """End what still lives there. Safe to repeat."""
        if self.box:
            self.box.close()

    def _own(self, prepared: Prepared) -> list[Path]:
        directory = Path(self.spec.directory)
        own = [directory / name for name in (*scratch.GIVEN, scratch.KEPT)]
        return [*own, prepared.folder] if prepared.private else own

    def _mirrors(self) -> list[Path]:
        cache = self.spec.places.cache
        return [mirror_folder(cache, each) for each in self.spec.repositories]

    def common_view(self, prepared: Prepared, attempts: str) -> View | None:
        """What all runs see that share a box, the folders of each, below `attempts`, to be shown
        when it begins; None where there is no box."""
        if self.spec.isolation.level not in BOXED:
            return None
        view, own = self._view(prepared), {*map(str, (*self._own(prepared), *self.shared))}
        writable = tuple(path for path in view.writable if path not in own)
        return replace(view, temporary="", writable=writable, filled=(attempts,))

    def _view(self, prepared: Prepared) -> View:
        isolation, own = self.spec.isolation, [*self._own(prepared), *self.shared]
        readable = [prepared.folder, Path(prefix_of(prepared.python)), *self._mirrors()]
        return View(
            temporary=os.path.join(self.spec.directory, "tmp"),
            hidden=tuple(isolation.hidden),
            readable=(
                *(str(path) for path in readable if path not in own),
                *certificates(os.environ.items()),
                *isolation.readable,
            ),
            writable=(*map(str, own), *isolation.writable),
            network=isolation.network,
        )
