"""The environment step: installed packages, made by uv, shared by every run that asks for the same.

    resolutions/<key>.txt     the lock for what was asked, resolved once
    environments/<key>/
    ├── venv/                 the virtual environment, made where it stays
    ├── lock.txt              what is in it
    ├── complete              written last; its time is the last use
    └── compiled              its bytecode is there

The first key is a hash of everything that decides the lock, the second one of the lock and the
interpreter, so runs whose requests differ share an environment if they come to the same. Both keys
hold the owner: to resolve or install a package may execute what its author wrote, and a list of
versions does not tell from which index they came, so what one owner asked for must not serve
another. Only what nobody added anything to, the base, is shared by all. One that
was made before is found without a process. `<key>.lock` is held while something is made; what was
cut off lacks `complete` and is made anew. Whoever removes one holds the lock too, and begins by
renaming `complete`, so that it is found whole or not at all.

A run can only read a shared environment. A start script that installs something gets a private
one, below the attempt, copied and not linked, which goes with the run.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runhook.runner.builder import BASE, Builder
from runhook.runner.interpreters import Interpreter, find_interpreter
from runhook.runner.levels import BOXED
from runhook.runner.locks import locked
from runhook.runner.process import Control
from runhook.runner.report import Reporter
from runhook.runner.requirements import Wanted, wanted_packages
from runhook.runner.resolution import Resolver, base_requirements
from runhook.runner.spec import RunSpec, write_whole
from runhook.runner.uv import Uv, program
from runhook.runner.view import prefix_of

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
INSTALLS = re.compile(r"\b(pip3?|uv|conda|mamba|micromamba|poetry|pipx|install|easy_install)\b")
PRIVATE = "environment"


@dataclass(frozen=True)
class Prepared:
    """An environment that is ready. `lock` is its resolved packages, as a requirements file."""

    python: Path
    variables: dict[str, str]
    key: str
    cached: bool
    lock: str
    builder: Builder
    private: bool = False

    @property
    def folder(self) -> Path:
        """Where it stands, with what is known about it."""
        return self.python.parent.parent.parent


def installs(script: str | None) -> bool:
    """Does a start script look as if it installs something?"""
    return bool(script and INSTALLS.search(script))


def prepare(spec: RunSpec, reporter: Reporter, control: Control, workspace: Path) -> Prepared:
    """The environment that the spec asks for, made if it is not there yet.

    Attempts that ask at once make it once; one that waits for another hears a request to stop.
    Leaves the lock as `lock.txt` in the attempt's directory and reports `environment`. StepFailed
    with a sentence if it cannot be made; uv's own words are in the log.
    """
    maker = _maker(spec, reporter, control, workspace)
    lock = spec.environment.lock
    if lock is None:
        lock = maker.resolve() if spec.environment.refresh == "always" else maker.resolution()
    if installs(spec.start_script):
        prepared = maker.private(lock, Path(spec.directory) / PRIVATE)
    else:
        prepared = maker.environment(lock)
    write_whole(Path(spec.directory) / "lock.txt", lock)
    reporter.emit("environment", key=prepared.key, cached=prepared.cached)
    return prepared


def foresee(
    spec: RunSpec, reporter: Reporter, control: Control, workspace: Path
) -> Prepared | None:
    """What `prepare` will come to, where that can be told before there is a checkout, at once, and
    without a process: it was made before."""
    asked = spec.environment
    if asked.file or asked.python or asked.refresh == "always" or installs(spec.start_script):
        return None
    maker = _maker(spec, reporter, control, workspace)
    lock = asked.lock or maker.resolved_before()
    return None if lock is None else maker.made_before(lock)


def _maker(spec: RunSpec, reporter: Reporter, control: Control, workspace: Path) -> "_Maker":
    uv = Uv(spec.places, reporter, control)
    wanted = wanted_packages(spec.environment, workspace)
    interpreter = find_interpreter(uv, spec.environment.python or wanted.python)
    owner = BASE if wanted.bare and spec.environment.lock is None else spec.owner
    builder = Builder(Path(spec.places.cache), owner, spec.isolation)
    return _Maker(uv, builder, interpreter, wanted, workspace)


@dataclass(frozen=True)
class _Maker:
    """Finds or makes what one request comes to."""

    uv: Uv
    builder: Builder
    interpreter: Interpreter
    wanted: Wanted
    workspace: Path

    def resolve(self) -> str:
        """The lock as it would be now."""
        return Resolver(
            self.uv, self.builder, self.interpreter, self.wanted, self.workspace
        ).resolve()

    def resolution(self) -> str:
        """The lock as it was when this was asked for first."""
        kept = self._resolution()
        if (lock := _read(kept)) is None:
            with locked(kept.with_suffix(".lock"), self.uv.control):
                if (lock := _read(kept)) is None:
                    lock = self.resolve()
                    write_whole(kept, lock)
        return lock

    def resolved_before(self) -> str | None:
        """The lock, if this was asked for before."""
        return _read(self._resolution())

    def _resolution(self) -> Path:
        key = self._key(base_requirements(), self.wanted.identity(), self.uv.places.index_url)
        return self.builder.cache / "resolutions" / f"{key}.txt"

    def made_before(self, lock: str) -> Prepared | None:
        """The environment of that lock, if it is there."""
        key = self._key(lock)
        folder = self.builder.cache / "environments" / key
        return self._prepared(folder, key, True, lock) if _taken(folder) else None

    def environment(self, lock: str) -> Prepared:
        """The environment that holds just what the lock says."""
        key = self._key(lock)
        folder = self.builder.cache / "environments" / key
        cached = True
        if not _taken(folder):
            with locked(folder.with_suffix(".lock"), self.uv.control):
                if not _taken(folder):
                    cached = False
                    self._make(folder, lock)
                    write_whole(folder / "complete", "")
        return self._prepared(folder, key, cached, lock)

    def private(self, lock: str, folder: Path) -> Prepared:
        """One that holds the same, in a place of the attempt's own. Nothing of it is linked to the
        packages in the cache, so whatever is done to it stays there."""
        self._make(folder, lock, "--link-mode", "copy")
        return self._prepared(folder, self._key(lock), False, lock, private=True)

    def _prepared(
        self, folder: Path, key: str, cached: bool, lock: str, private: bool = False
    ) -> Prepared:
        venv = folder / "venv"
        variables = {"PATH": f"{venv}/bin:{SYSTEM_PATH}", "VIRTUAL_ENV": str(venv)}
        python = venv / "bin" / "python"
        return Prepared(python, variables, key, cached, lock, self.builder, private)

    def _make(self, folder: Path, lock: str, *how: str) -> None:
        """The builder may write to the virtual environment alone, not to what is noted about it."""
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "venv").mkdir(parents=True)
        write_whole(folder / "lock.txt", lock)
        options = folder / "options.txt"
        write_whole(options, self.wanted.options())
        for noted in (folder / "lock.txt", options):
            noted.chmod(0o644)
        try:
            with self._workshop(folder) as uv:
                flags = ["--quiet", "--no-project", "--python", self.interpreter.path]
                uv.must("make a virtual environment", "venv", *flags, "venv", cwd=folder)
                flags = ["--quiet", "--allow-empty-requirements", "--python", "venv/bin/python"]
                words = ["pip", "sync", *flags, *(how or self._links()), "lock.txt", options.name]
                uv.must("install the packages", *words, cwd=folder)
        finally:
            options.unlink()

    @contextmanager
    def _workshop(self, folder: Path) -> Iterator[Uv]:
        interpreter = Path(self.interpreter.path)
        seen = [folder, self.workspace, Path(program()), Path(prefix_of(interpreter))]
        with self.builder.workshop(seen, [folder / "venv"]) as workshop:
            yield self.uv.within(workshop, self.builder.packages)

    def _links(self) -> tuple[str, ...]:
        """In a box hard links to the packages are impossible, and unwanted: whoever builds next may
        write to those. Where the disk can share blocks it does."""
        boxed = self.builder.isolation.level in BOXED
        return ("--link-mode", "clone") if boxed else ()

    def _key(self, *parts: str) -> str:
        machine = [self.interpreter.path, self.interpreter.version, *_platform()]
        text = "\0".join([self.builder.owner, *parts, *machine]).encode("utf-8", "surrogateescape")
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
