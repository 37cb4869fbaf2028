"""The published client `saturn-client` in an environment of its own, made once, in .tools."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.conftest import ROOT, Api

PINNED = ROOT / "requirements" / "saturn-client.txt"
PLACE = ROOT / ".tools" / "saturn-client"


@pytest.fixture(scope="session")
def client_environment() -> Path:
    """Where the client is installed, exactly as it is published: pinned, with hashes."""
    wanted, stamp = PINNED.read_text(), PLACE / "stamp"
    PLACE.parent.mkdir(exist_ok=True)
    with (PLACE.parent / "saturn-client.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            uv = find_uv_bin()
            for words in (
                ["venv", "--quiet", "--clear", "--python", sys.executable, str(PLACE)],
                [
                    *("pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"),
                    *("--python", str(PLACE), str(PINNED)),
                ],
            ):
                subprocess.run([uv, *words], check=True, timeout=100)
            stamp.write_text(wanted)
    return PLACE


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The rows of the table that it printed, cell by cell."""
        return [line.split() for line in self.out.splitlines()[2:]]


@dataclass
class Sc:
    """The command `sc`: `SATURN_BASE_URL` and `SATURN_TOKEN` are all that it is told."""

    process: "subprocess.Popen[str]"
    environment: dict[str, str]
    cwd: Path

    def __call__(self, *argv: str, **environment: str) -> Said:
        given = {**self.environment, **environment}
        call = {"argv": argv, "environment": given, "cwd": str(self.cwd)}
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        return Said(**json.loads(self.process.stdout.readline()))

    def done(self, *argv: str, **environment: str) -> Said:
        """The same; it must succeed."""
        said = self(*argv, **environment)
        assert said.code == 0, (argv, said.out, said.err[-2000:])
        return said


def environment_of(api: Api, home: Path) -> dict[str, str]:
    """What somebody has set who uses the client."""
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "SATURN_BASE_URL": api.server.url,
        "SATURN_TOKEN": api.token,
    }


@pytest.fixture(scope="session")
def many(client_environment: Path) -> Iterator["subprocess.Popen[str]"]:
    """The process that `sc` is forked from."""
    program = [str(client_environment / "bin" / "python"), str(Path(__file__).with_name("many.py"))]
    with subprocess.Popen(
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PATH": os.defpath},
    ) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == "ready\n"
        yield process
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


@pytest.fixture
def sc(shared_api: Api, many: "subprocess.Popen[str]", tmp_path: Path) -> Sc:
    """`sc` for the caller of the shared server."""
    return Sc(many, environment_of(shared_api, tmp_path), tmp_path)


@dataclass(frozen=True)
class Library:
    """Programs that use the client as a library, in its environment."""

    python: Path
    environment: dict[str, str]

    def run(self, program: str, **environment: str) -> str:
        """What the program prints."""
        given = {**self.environment, **environment}
        ended = subprocess.run(
            [str(self.python), "-c", program], env=given, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture
def library(shared_api: Api, client_environment: Path, tmp_path: Path) -> Library:
    python = client_environment / "bin" / "python"
    return Library(python, environment_of(shared_api, tmp_path))
