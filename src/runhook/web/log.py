"""The log of a run by itself: slices by line number with links to earlier and later ones, and a
search over the whole of it. The script that shows a log smoothly takes its lines from the API."""

import asyncio
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from starlette.responses import Response

from runhook import log_lines, log_search
from runhook.errors import Invalid
from runhook.log_lines import Slice
from runhook.log_search import Hit, Wanted, shown
from runhook.model.job import Job
from runhook.services import results, runs
from runhook.services.results import Left
from runhook.store.database import Transaction
from runhook.web.ask import Ask

SHOWN, BEFORE_HIT = 500, 5
KEPT = ("text", "expression", "back", "errors", "attempt")


def number(ask: Ask, name: str) -> int:
    """A whole number of the address; 0 if there is none, or none that anybody could mean."""
    text = ask.query(name)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 13 else 0


async def log_page(ask: Ask) -> Response:
    """A slice; with something to look for the one where it is found."""
    left, job = await ask.read(lambda tx: _found(tx, ask))
    path = ask.server.site.directory(left.attempt.id) / "log" if left.attempt else None
    hit, wrong = Hit(), ""
    if path and _looks(ask):
        try:
            hit = await _look(ask, path)
        except Invalid as error:
            wrong = f"Cannot look for this: {error.details['text']}."
    first = max(1, hit.line - BEFORE_HIT) if hit.line else number(ask, "from") or None
    none = Slice(first or 1, [], 0, counted=True)
    found = await asyncio.to_thread(log_lines.lines, path, first, SHOWN) if path else none
    return ask.page(
        "log.html",
        422 if wrong else 200,
        run=left.run,
        job=job,
        attempt=left.attempt.number if left.attempt else 0,
        live=left.attempt is None or left.attempt.finished_at is None,
        found=found,
        lines=[(at, shown(line.data)) for at, line in enumerate(found.lines, found.first)],
        earlier=max(1, found.first - SHOWN),
        later=found.first + len(found.lines),
        hit=hit,
        looked=_looks(ask) and not wrong,
        wrong=wrong,
        text=ask.query("text"),
        expression=_yes(ask, "expression"),
        back=_yes(ask, "back"),
        search=partial(_query, {name: ask.query(name) for name in KEPT}),
        page=partial(_query, {"attempt": ask.query("attempt")}),
    )


def _found(tx: Transaction, ask: Ask) -> tuple[Left, Job]:
    left = results.left_by(tx, ask.caller, ask.path("run_id"), number(ask, "attempt"))
    return left, runs.get_with_job(tx, ask.caller, left.run.id, "runs:read")[1]


def _yes(ask: Ask, name: str) -> bool:
    return ask.query(name) == "true"


def _looks(ask: Ask) -> bool:
    return bool(ask.query("text")) or _yes(ask, "errors")


async def _look(ask: Ask, path: Path) -> Hit:
    first = max(1, number(ask, "from"))
    if _yes(ask, "errors"):
        return await log_search.first_error(path, first)
    wanted = Wanted(ask.query("text"), first, _yes(ask, "back"), _yes(ask, "expression"))
    return await log_search.search(path, wanted)


def _query(kept: dict[str, str], **changed: object) -> str:
    """The address of another slice: what is `kept`, with some of it changed."""
    values = {**kept, "from": str(changed.pop("first", "")), **changed}
    return urlencode({name: str(text) for name, text in values.items() if text})
