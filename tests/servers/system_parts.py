"""Programs of the operating system that some tests need: where they are, or why a test is skipped.

`require("sshd")` is the one place that decides: a missing part skips the test with a sentence, but
under `CI=true` it fails it, because there everything that can be installed must be. `scripts/test`
runs this file to learn which Debian packages are missing.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Part:
    """A program: the Debian package that brings it and the folders to look in beside PATH."""

    program: str
    package: str
    folders: tuple[str, ...] = ()

    def find(self) -> Path | None:
        """The program's path; the folders win over PATH, the newest version over older ones."""
        for pattern in self.folders:
            for folder in sorted(Path("/").glob(pattern), key=_version, reverse=True):
                if os.access(folder / self.program, os.X_OK):
                    return folder / self.program
        found = shutil.which(self.program)
        return Path(found) if found else None


PARTS = {
    "sshd": Part("sshd", "openssh-server", ("usr/sbin", "usr/local/sbin")),
    "ssh": Part("ssh", "openssh-client"),
    "ssh-keygen": Part("ssh-keygen", "openssh-client"),
    "postgres": Part("postgres", "postgresql", ("usr/lib/postgresql/*/bin",)),
    "chromium": Part("chromium", "chromium"),
    "bwrap": Part("bwrap", "bubblewrap"),
    "faketime": Part("faketime", "faketime"),
    "curl": Part("curl", "curl"),
    "openssl": Part("openssl", "openssl"),
}


def require(name: str) -> Path:
    """The path of the part, one of PARTS. `initdb` and the like stand beside `postgres`."""
    part = PARTS[name]
    path = part.find()
    if path:
        return path
    sentence = f"{part.program} is not on this machine (Debian package {part.package})"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{sentence}, and under CI=true it must be")
    pytest.skip(sentence)


def missing_packages() -> list[str]:
    """The Debian packages of the parts that are not here."""
    return sorted({part.package for part in PARTS.values() if part.find() is None})


def _version(folder: Path) -> list[int]:
    return [int(word) for word in folder.parts if word.isdecimal()]


if __name__ == "__main__":
    sys.stdout.writelines(f"{package}\n" for package in missing_packages())
