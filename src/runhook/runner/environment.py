"""The environment step: installed packages, made by uv, shared by every run that asks for the same.

    resolutions/<key>.txt     the lock for what was asked, resolved once
    environments/<key>/
    ├── venv/                 the virtual environment, made where it stays
    ├── lock.txt              what is in it
    └── complete              written last; its time is the last use

The first key is a hash of everything that decides the lock, the second one of the lock and the
interpreter, so runs whose requests differ share an environment if they come to the same. One that
was made before is found without a process. `<key>.lock` is held while something is made; what was
cut off lacks `complete` and is made anew. Whoever removes one holds the lock too, and begins by
renaming `complete`, so that it is found whole or not at all.

Bytecode is not compiled at the installation: that costs every new environment more than the first
run saves, which writes the bytecode of just what it imports.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from runhook.runner.interpreters import Interpreter, find_interpreter
from runhook.runner.locks import locked
from runhook.runner.process import Control
from runhook.runner.report import Reporter
from runhook.runner.requirements import Wanted, wanted_packages
from runhook.runner.resolution import Resolver, base_requirements
from runhook.runner.spec import RunSpec, write_whole
from runhook.runner.uv import Uv

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Prepared:
    """An environment that is ready. `lock` is its resolved packages, as a requirements file."""

    python: Path
    variables: dict[str, str]
    key: str
    cached: bool
    lock: str


def prepare(spec: RunSpec, reporter: Reporter, control: Control, workspace: Path) -> Prepared:
    """The environment that the spec asks for, made if it is not there yet.

    Attempts that ask at once make it once; one that waits for another hears a request to stop.
    Leaves the lock as `lock.txt` in the attempt's directory and reports `environment`. StepFailed
    with a sentence if it cannot be made; uv's own words are in the log.
    """
    uv = Uv(spec.places, reporter, control)
    wanted = wanted_packages(spec.environment, workspace)
    interpreter = find_interpreter(uv, spec.environment.python or wanted.python)
    maker = _Maker(uv, Path(spec.places.cache), interpreter, wanted)
    lock = spec.environment.lock
    if lock is None:
        lock = maker.resolve() if spec.environment.refresh == "always" else maker.resolution()
    prepared = maker.environment(lock)
    write_whole(Path(spec.directory) / "lock.txt", lock)
    reporter.emit("environment", key=prepared.key, cached=prepared.cached)
    return prepared


@dataclass(frozen=True)
class _Maker:
    """Finds or makes what one request comes to."""

    uv: Uv
    cache: Path
    interpreter: Interpreter
    wanted: Wanted

    def resolve(self) -> str:
        """The lock as it would be now."""
        return Resolver(self.uv, self.interpreter, self.wanted).resolve()

    def resolution(self) -> str:
        """The lock as it was when this was asked for first."""
        key = self._key(base_requirements(), self.wanted.identity(), self.uv.places.index_url)
        kept = self.cache / "resolutions" / f"{key}.txt"
        if (lock := _read(kept)) is None:
            with locked(kept.with_suffix(".lock"), self.uv.control):
                if (lock := _read(kept)) is None:
                    lock = self.resolve()
                    write_whole(kept, lock)
        return lock

    def environment(self, lock: str) -> Prepared:
        """The environment that holds just what the lock says."""
        key = self._key(lock)
        folder = self.cache / "environments" / key
        cached = True
        if not _taken(folder):
            with locked(folder.with_suffix(".lock"), self.uv.control):
                if not _taken(folder):
                    cached = False
                    self._make(folder, lock)
                    write_whole(folder / "complete", "")
        venv = folder / "venv"
        variables = {"PATH": f"{venv}/bin:{SYSTEM_PATH}", "VIRTUAL_ENV": str(venv)}
        return Prepared(venv / "bin" / "python", variables, key, cached, lock)

    def _make(self, folder: Path, lock: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_whole(folder / "lock.txt", lock)
        flags = ["--quiet", "--no-project", "--python", self.interpreter.path]
        self.uv.must("make a virtual environment", "venv", *flags, "venv", cwd=folder)
        options = folder / "options.txt"
        write_whole(options, self.wanted.options())
        flags = ["--quiet", "--allow-empty-requirements", "--python", "venv/bin/python"]
        try:
            words = ["pip", "sync", *flags, "lock.txt", options.name]
            self.uv.must("install the packages", *words, cwd=folder)
        finally:
            options.unlink()

    def _key(self, *parts: str) -> str:
        machine = [self.interpreter.path, self.interpreter.version, *_platform()]
        text = "\0".join([*parts, *machine]).encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).hexdigest()[:24]


def _platform() -> tuple[str, str]:
    facts = os.uname()
    return facts.sysname, facts.machine


def _taken(folder: Path) -> bool:
    """Is it complete? Asking marks the use, in one step, so that what was found does not go for
    want of use a moment later."""
    try:
        os.utime(folder / "complete")
    except FileNotFoundError:
        return False
    return True


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
