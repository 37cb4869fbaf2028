"""From what is wanted to a lock: a requirements file that names every package with its version."""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runhook.runner.builder import Builder
from runhook.runner.interpreters import Interpreter
from runhook.runner.process import Exit
from runhook.runner.requirements import Wanted, refuse_folders
from runhook.runner.uv import Uv, failure, program
from runhook.runner.view import prefix_of

RESOLVE = "resolve the packages"


def base_requirements() -> str:
    """The packages of every environment: the Jupyter stack, pinned."""
    return Path(__file__).with_name("base.txt").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Resolver:
    """Resolves for one interpreter. It writes no file that stays."""

    uv: Uv
    builder: Builder
    interpreter: Interpreter
    wanted: Wanted
    workspace: Path

    def resolve(self) -> str:
        """The lock. StepFailed, with uv's words in the log, if there is none.

        The base's versions give way to those of the job: where both cannot be had together, the
        base's packages are taken in any version that fits.
        """
        self.wanted.check()
        with tempfile.TemporaryDirectory() as scratch:
            os.chmod(scratch, 0o755)  # its builder only reads there  # noqa: S103
            with self.builder.workshop(self._seen(Path(scratch))) as workshop:
                uv = self.uv.within(workshop, self.builder.packages)
                lock = self._resolved(uv, Path(scratch))
        refuse_folders(lock)  # a project's own sources may name some
        return lock

    def _seen(self, scratch: Path) -> list[Path]:
        interpreter = Path(self.interpreter.path)
        return [scratch, self.workspace, Path(program()), Path(prefix_of(interpreter))]

    def _resolved(self, uv: Uv, scratch: Path) -> str:
        files = [*map(str, self.wanted.files), self._job(uv, scratch)]
        quietly = os.memfd_create("uv")
        try:
            ended, lock = self._compile(uv, scratch, base_requirements(), files, quietly)
            words = os.pread(quietly, os.fstat(quietly).st_size, 0)
        finally:
            os.close(quietly)
        if not ended.ok and "No solution found" in ended.errors:
            names = re.sub(r"==\S+", "", base_requirements())
            ended, lock = self._compile(uv, scratch, names, files, None)
        else:
            os.write(self.uv.reporter.log_fd, words)
        if not ended.ok:
            raise failure(RESOLVE, ended)
        return lock.decode("utf-8", "replace")

    def _job(self, uv: Uv, scratch: Path) -> str:
        path = scratch / "job.txt"
        path.write_text(f"{self._exported(uv)}\n{self.wanted.text}\n", encoding="utf-8")
        return str(path)

    def _exported(self, uv: Uv) -> str:
        """What the project's uv.lock has for its dependencies."""
        if self.wanted.locked is None:
            return ""
        flags = "--frozen --quiet --no-hashes --no-header --no-annotate --no-default-groups"
        flags += " --no-emit-project --no-emit-local"
        words = ["export", *flags.split(), "--python", self.interpreter.path]
        return uv.must("read uv.lock", *words, cwd=self.wanted.locked)

    def _compile(
        self, uv: Uv, scratch: Path, base: str, files: list[str], output: int | None
    ) -> tuple[Exit, bytes]:
        """How it ended, and the lock: what uv says, not a file that a build could replace."""
        (scratch / "base.txt").write_text(base, encoding="utf-8")
        words = ["pip", "compile", "--quiet", "--no-header", "--no-annotate"]
        words += ["--python", self.interpreter.path, "base.txt", *files]
        return uv.call(*words, cwd=scratch, output=output)
