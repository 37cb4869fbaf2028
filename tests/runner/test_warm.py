"""Warm starts: kernels that are forked ahead behave as cold ones, in the same isolation."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from runhook.runner.spec import RunSpec, WarmSpec
from runhook.runner.warm import messages
from tests.executors.conftest import Bench, anyio_backend, bench, log
from tests.runner.test_notebook import repository_of, write

__all__ = ["anyio_backend", "bench", "repository_of"]
pytestmark = pytest.mark.anyio


class Warm:
    """A job whose notebook is `cells`, started warm as soon as that goes."""

    def __init__(self, bench: Bench, folder: Path, commit: Any) -> None:
        self.bench, self.folder, self.commit = bench, folder, commit
        self.address = str(bench.executor._directory / "warm.sock")
        self.bounds = WarmSpec(self.address, str(bench.root))
        self.repository: Any = None

    def spec(self, *cells: str, **more: Any) -> RunSpec:
        write(self.folder / "a.ipynb", *cells)
        self.repository = self.commit()
        given = {"warm": self.bounds, **more}
        return self.bench.spec(notebook="nb/a.ipynb", repositories=[self.repository], **given)

    async def ready(self) -> dict[str, Any]:
        """Run a notebook cold, and wait until a kernel waits for the next one."""
        spec = self.spec("1")
        assert (await self.bench.run(spec)).outcome == "succeeded", log(spec)
        return await self.until_spare()

    async def until_spare(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while True:
                told = self.told()
                if told and told[0]["state"] == "ready" and told[0]["spare"]:
                    return told[0]
                await asyncio.sleep(0.02)

    def told(self) -> list[dict[str, Any]]:
        """What the keeper says about its parents."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asks:
            asks.connect(self.address)
            messages.send(asks, op="told")
            answer = messages.receive(asks)
        assert answer
        return list(answer.body["parents"])


@pytest.fixture
async def warm(bench: Bench, repository_of: Any) -> Warm:
    folder, commit = repository_of
    return Warm(bench, folder, commit)


def note(spec: RunSpec) -> str:
    """How the kernel was started, as the waterfall shows it."""
    lines = (Path(spec.directory) / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    (found,) = [
        each["data"]["note"]
        for each in events
        if each["kind"] == "step_finished" and each["data"]["step"] == "notebook"
    ]
    return str(found)


async def test_the_second_run_is_warm(warm: Warm) -> None:
    first = warm.spec("print('one')")
    assert (await warm.bench.run(first)).outcome == "succeeded", log(first)
    assert note(first).startswith("cold: ")
    await warm.until_spare()
    second = warm.spec("print('two')")
    assert (await warm.bench.run(second)).outcome == "succeeded", log(second)
    assert log(second).decode() == "two\n"
    assert note(second) == "warm"
