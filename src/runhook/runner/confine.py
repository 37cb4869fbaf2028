"""Putting the work of an attempt in its place: a box, a system user of its own, or neither."""

import os
from collections.abc import Sequence
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


def confine(spec: RunSpec, prepared: Prepared, shared: Sequence[Path]) -> Confinement | None:
    """The place of the work; None where that is the runner's own. `shared` are more folders that
    the work may write to. StepFailed if it cannot be made."""
    directory, level = Path(spec.directory), spec.isolation.level
    uid = own_uid(spec.job_id) if level in OWN_USER else None
    own = [directory / name for name in (*scratch.GIVEN, scratch.KEPT)]
    own += [prepared.folder] if prepared.private else []
    if uid is not None:
        for folder in own:
            scratch.give(folder, uid)
    if level in BOXED:
        return Sandbox(_view(spec, prepared, [*own, *shared]), uid)
    if uid is None:
        return None
    return OwnUser(uid)


def _view(spec: RunSpec, prepared: Prepared, own: Sequence[Path]) -> View:
    readable = [str(prepared.folder), prefix_of(prepared.python)]
    readable += [str(mirror_folder(spec.places.cache, each)) for each in spec.repositories]
    readable += [*certificates(os.environ.items()), *spec.isolation.readable]
    return View(
        temporary=os.path.join(spec.directory, "tmp"),
        hidden=tuple(spec.isolation.hidden),
        readable=tuple(path for path in readable if Path(path) not in own),
        writable=(*map(str, own), *spec.isolation.writable),
        network=spec.isolation.network,
    )
