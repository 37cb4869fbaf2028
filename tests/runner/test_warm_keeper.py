"""The keeper of warm parents when something goes wrong around it; its own parts, real sockets."""

import asyncio
import os
import resource
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runhook.places import run_directory
from runhook.runner.identity import own_identity
from runhook.runner.notebook import warm
from runhook.runner.process import Exit
from runhook.runner.spec import WarmSpec
from runhook.runner.warm import keeper, messages
from runhook.runner.warm.keeper import Keeper, Lesson
from runhook.runner.warm.parents import Parent
from runhook.runner.warm.plan import Plan


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """Where a keeper listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as made:
        made.bind(str(run_directory(tmp_path) / "warm.sock"))
        made.listen(0)
        yield made


def keeper_at(listener: socket.socket) -> Keeper:
    return Keeper(listener, WarmSpec(listener.getsockname(), "/nowhere"))


def plan(python: str) -> Plan:
    return Plan("a-key", "none", None, python, {})


def test_only_the_folders_of_keepers_that_are_gone_are_removed(listener: socket.socket) -> None:
    address, identity = listener.getsockname(), own_identity()
    living = keeper.home_of(address, identity)
    dead = living.with_name(f"warm-{identity.pid}-{identity.start_time + 1}")
    for each in (living, dead):
        (each / "1" / "tmp").mkdir(parents=True)
    keeper.remove_homes_of_the_dead(address)
    assert (living / "1" / "tmp").exists() and not dead.exists()


def test_a_keeper_that_does_not_answer_is_not_waited_for(listener: socket.socket) -> None:
    address = listener.getsockname()
    waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    try:
        waiting[0].connect(address)
        waiting[1].setblocking(False)
        with pytest.raises(BlockingIOError):  # the queue is full
            waiting[1].connect(address)
        keeper.ensure(WarmSpec(address, "/nowhere"), lambda: None)
        assert Path(address).exists()
    finally:
        for each in waiting:
            each.close()


def test_a_parent_that_is_gone_is_heard_once(listener: socket.socket) -> None:
    keeps = keeper_at(listener)
    parent = Parent(plan(sys.executable), [], set(), Path("/nowhere"), state="ready")
    parent.control, theirs = messages.pair()
    with parent.control, theirs:
        keeps._watch(parent.control, lambda: keeps._parent_told(parent))
        theirs.close()
        for key, _ in keeps._selector.select(10):
            keeps._hear(key)
        assert keeps._selector.select(0) == []


def test_a_keeper_with_too_much_open_hears_the_next_one(listener: socket.socket) -> None:
    keeps = keeper_at(listener)
    key = keeps._selector.register(listener, selectors.EVENT_READ, keeps._accept)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as comes:
        comes.connect(listener.getsockname())
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            keeps._hear(key)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert not keeps._guests
        assert [each.fd for each, _ in keeps._selector.select(0)] == [listener.fileno()]
        keeps._hear(key)
        (guest,) = keeps._guests.values()
        guest.socket.close()


@pytest.mark.parametrize("broken", ["no interpreter", "too long an order"])
def test_a_parent_that_cannot_be_started_leaves_nothing_and_is_tried_again_later(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    keeps = keeper_at(listener)
    python = "/nowhere/python" if broken == "no interpreter" else sys.executable
    modules = ["m" * (2 * messages.LONGEST)] if broken == "too long an order" else []
    lesson = Lesson(plan(python), modules)
    before = len(os.listdir("/proc/self/fd"))
    keeps._start(lesson)
    assert "cannot be started" in (lesson.refusal() or "")
    assert list(tmp_path.glob("rh-*")) == []
    assert len(os.listdir("/proc/self/fd")) == before
    lesson.hopeless_until = time.monotonic()
    assert lesson.refusal() is None


def test_a_kernel_that_has_ended_itself_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "LESSON_SECONDS", 1000.0)

    class Gone:
        async def ended(self) -> Exit:
            return Exit(0, None)

    class Silent:
        def execute(self, *_: object, **__: object) -> str:
            return "asked"

        async def get_shell_msg(self, timeout: None) -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

    assert asyncio.run(warm.imported(Silent(), Gone())) == []  # type: ignore[arg-type]
