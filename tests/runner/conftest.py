"""Attempts with a cache of their own, and a record of every git process they start."""

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from runhook.runner.spec import Places
from tests.runner.steps import Attempts


@pytest.fixture
def attempts(tmp_path: Path) -> Attempts:
    """Makes attempts that may use file:// repositories."""
    return Attempts(tmp_path, Places(cache=str(tmp_path / "cache"), allow_file_urls=True))


@dataclass(frozen=True)
class Recorded:
    """`calls` are the command lines of the git and ssh processes, in order."""

    path: Path

    @property
    def calls(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Puts programs before git and ssh that note their command line and become the real one."""
    folder = tmp_path / "recording"
    folder.mkdir()
    record = Recorded(tmp_path / "recorded")
    for name in ("git", "ssh"):
        real = shutil.which(name)
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {record.path}\nexec {real} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return record
