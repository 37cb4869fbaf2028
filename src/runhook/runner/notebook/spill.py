"""Whole outputs, for which the notebook is too small, as files among the artifacts.

The work may write to that folder, too, so a file is only ever made anew, through no link, and kept
open. Secrets are masked in texts.
"""

import os
from contextlib import suppress
from pathlib import Path

from runhook.runner.collect import FOLDER
from runhook.runner.masking import Masker, Stream

NAME = "outputs"
MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Spill:
    """Files below `outputs/` of the artifacts. What cannot be written there, for want of room or
    because something is in the way, is lost, and the sentence about it says so."""

    def __init__(self, artifacts: Path, masker: Masker) -> None:
        self._masker = masker
        self._artifacts = os.open(artifacts, FOLDER)
        self._folder: int | None = None
        self._texts: dict[str, tuple[int, Stream]] = {}
        self._lost: set[str] = set()

    def append(self, name: str, text: str) -> str:
        """Add to a text: where it is, in words."""
        if name not in self._texts and name not in self._lost:
            try:
                self._texts[name] = self._make(name), Stream(self._masker)
            except OSError:
                self._lost.add(name)
        if name in self._texts:
            descriptor, stream = self._texts[name]
            self._write(name, descriptor, stream.feed(text.encode("utf-8", "replace")))
        return self._words(name)

    def keep(self, name: str, data: bytes) -> str:
        """A whole file: where it is, in words. One that was kept before is replaced."""
        try:
            self._remove(name)
            descriptor = self._make(name)
        except OSError:
            self._lost.add(name)
        else:
            self._write(name, descriptor, self._masker.mask(data))
            os.close(descriptor)
        return self._words(name)

    def close(self) -> None:
        """Complete all texts; nothing is added any more."""
        for name, (descriptor, stream) in self._texts.items():
            self._write(name, descriptor, stream.flush())
            os.close(descriptor)
        self._texts.clear()
        os.close(self._artifacts)

    def _words(self, name: str) -> str:
        if name in self._lost:
            return f"{NAME}/{name} could not hold it"
        return f"it is whole in the artifact {NAME}/{name}"

    def _make(self, name: str) -> int:
        if self._folder is None:
            with suppress(FileExistsError):
                os.mkdir(NAME, 0o700, dir_fd=self._artifacts)
            self._folder = os.open(NAME, FOLDER, dir_fd=self._artifacts)
        return os.open(name, MAKE, 0o600, dir_fd=self._folder)

    def _remove(self, name: str) -> None:
        if self._folder is not None:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._folder)

    def _write(self, name: str, descriptor: int, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            self._lost.add(name)
