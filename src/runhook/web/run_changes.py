"""What an open page of a run is told while it lasts: that the run changed, which cells of its
notebook did, and how far it is. What is in them is asked for by the page itself."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Any
from urllib.parse import unquote_to_bytes

from runhook import logs
from runhook.bus import CREDENTIALS, Hint
from runhook.errors import Forbidden, Invalid, NotFound
from runhook.services import results, runs
from runhook.services.progress import cells_file
from runhook.services.results import Left
from runhook.store.database import Transaction
from runhook.web.ask import Ask
from runhook.web.notebook.files import addresses, read

SHORTEST_PAUSE, REST = 0.25, 3.0
"""At least so many seconds between two looks, and so many times as long as a look took."""


async def run_changes(ask: Ask, run_id: str) -> AsyncGenerator[bytes, None]:
    """Server-sent events: `changed` when the run did, `cells` with the marks of the cells that did
    and the progress. Both come at once: something may have happened between the page and its
    stream. Woken by the bus, and when the run's file of cells grows."""
    marks: dict[int, str] = {}
    grown, told, said = Hint(), True, None
    with (
        ask.server.bus.subscribe(f"run/{run_id}", CREDENTIALS) as changed,
        ExitStack() as watched,
    ):
        watching = None
        while True:
            began = time.monotonic()
            if told:
                yield b"event: changed\ndata:\n\n"
                try:
                    left = await ask.read(lambda tx: _left(tx, ask, run_id))
                except (NotFound, Forbidden):
                    return
                attempt = left.attempt.id if left.attempt else None
                if attempt and (watching is None or watching[0] != attempt):
                    watched.close()
                    path = cells_file(ask.server.site.directory(attempt))
                    watching = (attempt, watched.enter_context(logs.growth(path, grown)))
            if watching:
                watching[1]()
            now = await asyncio.to_thread(_marks, ask, left)
            news = {number: mark for number, mark in now.items() if marks.get(number) != mark}
            progress = await _progress(ask, left)
            if news or progress != said:
                marks, said = now, progress
                yield f"event: cells\ndata: {json.dumps([news, progress])}\n\n".encode()
            else:
                yield b": \n\n"
            await asyncio.sleep(max(SHORTEST_PAUSE, REST * (time.monotonic() - began)))
            told = await _first(changed, grown, logs.HEARTBEAT_SECONDS)


def _left(tx: Transaction, ask: Ask, run_id: str) -> Left:
    runs.get(tx, ask.caller, run_id)
    text = ask.query("attempt")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return results.left_by(tx, ask.caller, run_id, number)


def _marks(ask: Ask, left: Left) -> dict[int, str]:
    """The mark of every cell by its number; none if there is no notebook to be shown (yet)."""
    address = ask.query("notebook") or next(iter(addresses(left, ())), "")
    try:
        notebook = read(left, ask.server.site, unquote_to_bytes(address)) if address else None
    except (NotFound, Invalid):
        return {}
    return {cell.number: cell.mark for cell in notebook.cells} if notebook else {}


async def _progress(ask: Ask, left: Left) -> dict[str, Any] | None:
    progress = (await ask.progress([left.run])).get(left.run.id)
    if progress is None:
        return None
    return {
        "done": progress.done,
        "of": progress.code_cells,
        "sentence": progress.sentence,
        "stalled": progress.stalled,
    }


async def _first(changed: Hint, grown: Hint, timeout: float) -> bool:
    """Wait for either; True if it was `changed`. A hint that comes while the other is heard is kept
    for the next time."""
    waits = [asyncio.create_task(each.wait(timeout)) for each in (changed, grown)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
    heard = await asyncio.gather(*waits, return_exceptions=True)
    return heard[0] is True
