"""The published client from the package index, in an environment of its own."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from tests.conftest import ROOT, Api

DRIVER = Path(__file__).parent / "driver.py"
PINNED = ROOT / "requirements" / "saturn-api.txt"
PLACE = ROOT / ".tools" / "saturn-api"


class Refused(Exception):
    """The client raised: its class, the status, and the server's body."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(f"{said['error']} {said['status']}: {said['body']}")
        self.error, self.status = said["error"], said["status"]
        self.body = said["body"]

    @property
    def message(self) -> str:
        """The server's sentence."""
        return str(json.loads(self.body)["message"])


@dataclass
class Client:
    """The client at work for one account; `call` gives what its models made of the answer."""

    process: subprocess.Popen[str]
    token: str | None = None

    @classmethod
    def of(cls, python: Path, caller: Api) -> "Client":
        """A process of its own, told nothing but the two variables that the client reads."""
        variables = {"SATURN_BASE_URL": caller.server.url, "SATURN_TOKEN": caller.token}
        process = subprocess.Popen(
            [python, DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], **variables},
        )
        return cls(process)

    def call(self, api: str, call: str, /, **arguments: Any) -> Any:
        """`api.call(**arguments)`; Refused if the client raised."""
        said = self.say({"api": api, "call": call, "arguments": arguments, "token": self.token})
        if "error" in said:
            raise Refused(said)
        return said["value"]

    def as_(self, caller: Api) -> "Client":
        """The same process, for somebody else."""
        return replace(self, token=caller.token)

    def refused(self, api: str, call: str, /, **arguments: Any) -> Refused:
        """What the client raises."""
        with pytest.raises(Refused) as raised:
            self.call(api, call, **arguments)
        return raised.value

    def say(self, line: object) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        self.process.communicate(timeout=20)


def model(name: str, /, **values: Any) -> dict[str, Any]:
    """One of the client's models, as an argument of a call."""
    return {"$model": name, "values": values}


@pytest.fixture(scope="session")
def python_of_client() -> Path:
    """The interpreter of an environment that holds the client, pinned and hashed, and nothing of
    ours; made once, in .tools."""
    wanted, stamp = PINNED.read_text(), PLACE / "stamp"
    PLACE.parent.mkdir(exist_ok=True)
    with PLACE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            made = ["venv", "--quiet", "--clear", "--python", sys.executable, PLACE]
            filled = ["pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
            for words in (made, [*filled, "--python", PLACE, PINNED]):
                subprocess.run([find_uv_bin(), *words], check=True, timeout=100)
            stamp.write_text(wanted)
    return PLACE / "bin" / "python"


@pytest.fixture(scope="session")
def client(python_of_client: Path, shared_api: Api) -> Iterator[Client]:
    """The client with the administrator's user token."""
    client = Client.of(python_of_client, shared_api)
    yield client
    client.end()
