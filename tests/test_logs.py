"""Following a log while somebody writes it."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runhook import logs
from runhook.bus import Bus


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@given(st.text(st.characters(codec="utf-8"), max_size=50), st.integers(min_value=0))
def test_a_cut_never_falls_into_a_character(text: str, at: int) -> None:
    data = text.encode()
    head = data[: at % (len(data) + 1)]
    kept = head[: logs.complete(head)]
    kept.decode()
    assert len(head) - len(kept) < 4


@given(st.binary(max_size=50))
def test_bytes_that_are_no_text_are_not_held_back_for_long(data: bytes) -> None:
    assert len(data) - logs.complete(data) < 4


@pytest.mark.anyio
async def test_what_is_followed_is_what_was_written(tmp_path: Path) -> None:
    path, bus, done = tmp_path / "log", Bus(), asyncio.Event()
    text = "ünï 🙂\n" * 30_000

    async def ended() -> bool:
        return done.is_set()

    async def write() -> None:
        data = text.encode()
        with path.open("wb", buffering=0) as file:
            bus.publish("started")
            for start in range(0, len(data), 7919):
                file.write(data[start : start + 7919])
                await asyncio.sleep(0)
        done.set()
        bus.publish("ended")

    seen: list[logs.Block] = []

    async def read() -> None:
        async for block in logs.follow(path, 0, bus, "started", "ended", ended=ended):
            seen.append(block)

    await asyncio.gather(read(), write())
    assert "".join(block.data.decode() for block in seen) == text
    assert seen[-1].end == len(text.encode())


@pytest.mark.anyio
async def test_following_begins_where_it_is_told_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"0123456789\xff")

    async def ended() -> bool:
        return True

    blocks = [block async for block in logs.follow(path, 4, Bus(), ended=ended)]
    assert b"".join(block.data for block in blocks) == b"456789\xff"
    assert b"".join([data async for data in logs.stream(path, 9)]) == b"9\xff"
    assert [data async for data in logs.stream(tmp_path / "none", 0)] == []
