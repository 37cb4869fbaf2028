"""From what is wanted to a lock: a requirements file that names every package with its version."""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runhook.runner.interpreters import Interpreter
from runhook.runner.process import Exit
from runhook.runner.requirements import Wanted, refuse_folders
from runhook.runner.uv import Uv, failure

RESOLVE = "resolve the packages"


def base_requirements() -> str:
    """The packages of every environment: the Jupyter stack, pinned."""
    return Path(__file__).with_name("base.txt").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Resolver:
    """Resolves for one interpreter. It writes no file that stays."""

    uv: Uv
    interpreter: Interpreter
    wanted: Wanted

    def resolve(self) -> str:
        """The lock. StepFailed, with uv's words in the log, if there is none.

        The base's versions give way to those of the job: where both cannot be had together, the
        base's packages are taken in any version that fits.
        """
        self.wanted.check()
        with tempfile.TemporaryDirectory() as scratch:
            files = [*map(str, self.wanted.files), self._job(Path(scratch))]
            quietly = os.memfd_create("uv")
            try:
                ended = self._compile(Path(scratch), base_requirements(), files, quietly)
                words = os.pread(quietly, os.fstat(quietly).st_size, 0)
            finally:
                os.close(quietly)
            if not ended.ok and "No solution found" in ended.errors:
                names = re.sub(r"==\S+", "", base_requirements())
                ended = self._compile(Path(scratch), names, files, None)
            else:
                os.write(self.uv.reporter.log_fd, words)
            if not ended.ok:
                raise failure(RESOLVE, ended)
            lock = (Path(scratch) / "lock.txt").read_text(encoding="utf-8")
            refuse_folders(lock)  # a project's own sources may name some
            return lock

    def _job(self, scratch: Path) -> str:
        path = scratch / "job.txt"
        path.write_text(f"{self._exported()}\n{self.wanted.text}\n", encoding="utf-8")
        return str(path)

    def _exported(self) -> str:
        """What the project's uv.lock has for its dependencies."""
        if self.wanted.locked is None:
            return ""
        flags = "--frozen --quiet --no-hashes --no-header --no-annotate --no-default-groups"
        flags += " --no-emit-project --no-emit-local"
        words = ["export", *flags.split(), "--python", self.interpreter.path]
        return self.uv.must("read uv.lock", *words, cwd=self.wanted.locked)

    def _compile(self, scratch: Path, base: str, files: list[str], output: int | None) -> Exit:
        (scratch / "base.txt").write_text(base, encoding="utf-8")
        words = [
            "pip",
            "compile",
            "--quiet",
            "--no-header",
            "--no-annotate",
            "--output-file",
            "lock.txt",
        ]
        words += ["--python", self.interpreter.path, "base.txt", *files]
        return self.uv.call(*words, cwd=scratch, output=output)[0]
