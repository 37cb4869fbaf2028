"""Where packages are resolved and installed: to build one executes what its author wrote.

Each owner has a builder of its own: a system user, where the machine gives one, and a cache of
packages, so that what one owner's packages do while they are built reaches no environment of
another. The packages of the base come as wheels, nothing of theirs is executed, and one builder
serves all owners with them.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from runhook.runner.levels import BOXED, OWN_USER, own_uid
from runhook.runner.sandbox import Confinement, OwnUser, Sandbox
from runhook.runner.spec import IsolationSpec
from runhook.runner.view import View, certificates

BASE = ""
"""The owner of what all share."""


@dataclass(frozen=True)
class Workshop:
    """A place to build in, while it is open, and the variables that say where it is."""

    confinement: Confinement | None
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Builder:
    """Builds for one owner. `cache` is the folder that all attempts share."""

    cache: Path
    owner: str
    isolation: IsolationSpec

    @property
    def uid(self) -> int | None:
        """Its system user; None for the server's own."""
        wanted = self.isolation.level in OWN_USER
        return own_uid(f"packages of {self.owner}") if wanted else None

    @property
    def packages(self) -> Path:
        """What it has fetched and built. Another one if the level changes: what was built by one
        system user is not to be written by another."""
        key = hashlib.sha256(f"{self.owner}\0{self.uid}".encode()).hexdigest()[:16]
        return self.cache / "uv" / key

    @contextmanager
    def workshop(
        self, readable: Sequence[Path] = (), writable: Sequence[Path] = ()
    ) -> Iterator[Workshop]:
        """A place that has the folders given, the packages, and as far as this machine allows it
        nothing else of ours. `writable` folders are made the builder's own."""
        self.packages.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix="rh-build-"))
        try:
            given = [temporary, self.packages, *writable]
            if self.uid is not None:
                for folder in given:
                    os.chown(folder, self.uid, self.uid)
            place = self._place(temporary, readable, given)
            try:
                yield Workshop(place, {"HOME": str(temporary), "TMPDIR": str(temporary)})
            finally:
                if place:
                    place.close()
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _place(
        self, temporary: Path, readable: Sequence[Path], writable: Sequence[Path]
    ) -> Confinement | None:
        if self.isolation.level not in BOXED:
            return None if self.uid is None else OwnUser(self.uid)
        view = View(
            temporary=str(temporary),
            hidden=tuple(self.isolation.hidden),
            readable=(*map(str, readable), *certificates(os.environ.items())),
            writable=tuple(map(str, writable)),
        )
        box = Sandbox(view, self.uid)
        try:
            return box.complete()
        except BaseException:
            box.close()
            raise
