"""Handlers of /api/audit: what was changed and started, by whom; and their rows of the table."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from starlette.responses import Response, StreamingResponse

from runhook.api.call import PAGING, Call, Json, Page, Query, Route
from runhook.api.shapes import instant
from runhook.errors import Invalid
from runhook.services import audit
from runhook.services.audit_query import FILTERS, wanted_of
from runhook.store.audit import Entry, Wanted
from runhook.store.database import Transaction

COLUMNS = (
    "id at user_id user_name via address action kind object_id object_name owner before after"
).split()
LARGEST_ID = 2**63 - 1
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How a cell begins that a spreadsheet would calculate (OWASP: CSV Injection)."""


async def list_entries(call: Call) -> Response:
    """Newest first."""
    page = Page.of(call)
    wanted, owner = wanted_of(call.request.query_params)
    after, before = _edge(page.after), _edge(page.before)

    def work(tx: Transaction) -> list[Entry]:
        size = page.size + 1
        return audit.page(
            tx, call.caller, wanted, size=size, owner=owner, after=after, before=before
        )

    answer = page.answer("entries", await call.read(work), lambda entry: [entry.id, entry.kind])
    return Json({**answer, "entries": [entry_json(entry) for entry in answer["entries"]]})


def _edge(key: list[Any] | None) -> int | None:
    if key is None:
        return None
    if type(key[0]) is not int or not 0 <= key[0] <= LARGEST_ID:
        raise Invalid("cannot read the key of this page")
    return key[0]


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry as the API tells it."""
    return {name: getattr(entry, name) for name in COLUMNS} | {"at": instant(entry.at)}


async def export(call: Call) -> Response:
    """Oldest first, all that was there when it was asked for, a batch at a time."""
    form = call.query("format") or "jsonl"
    if form not in FORMS:
        raise Invalid("cannot read format", details={"format": "write jsonl or csv"})
    wanted, owner = wanted_of(call.request.query_params)
    readable, last = await call.read(lambda tx: audit.export(tx, call.caller, wanted, owner))
    media_type, head, lines = FORMS[form]

    async def body() -> AsyncIterator[str]:
        yield head
        above = 0
        while batch := await call.read(partial(_next, readable, above, last)):
            yield lines(batch)
            above = batch[-1].id

    headers = {
        "Content-Disposition": f'attachment; filename="audit.{form}"',
        "Cache-Control": "no-store",
    }
    return StreamingResponse(body(), media_type=media_type, headers=headers)


def _next(readable: Wanted, above: int, last: int, tx: Transaction) -> list[Entry]:
    return audit.next_batch(tx, readable, above, last)


def _as_json_lines(entries: Sequence[Entry]) -> str:
    """In ASCII: some readers take U+2028, which a name may hold, for the end of a line."""
    return "".join(json.dumps(entry_json(entry), separators=(",", ":")) + "\n" for entry in entries)


def _as_csv(entries: Sequence[Entry]) -> str:
    shown = [entry_json(entry) for entry in entries]
    return _csv_lines([[_cell(entry[name]) for name in COLUMNS] for entry in shown])


def _cell(value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "'" + text if text.startswith(FORMULA) else text


def _csv_lines(rows: Sequence[Sequence[str]]) -> str:
    """RFC 4180."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


FORMS: dict[str, tuple[str, str, Callable[[Sequence[Entry]], str]]] = {
    "jsonl": ("application/jsonl; charset=utf-8", "", _as_json_lines),
    "csv": ("text/csv; charset=utf-8; header=present", _csv_lines([COLUMNS]), _as_csv),
}
QUERIES = tuple(Query(name, help) for name, help in FILTERS.items())

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/api/audit",
        "audit:read",
        list_entries,
        "Changes and starts, newest first: who did what.",
        answer="AuditList",
        queries=(*QUERIES, *PAGING),
    ),
    Route(
        "GET",
        "/api/audit/export",
        "audit:read",
        export,
        "The same as JSON lines or CSV, oldest first.",
        queries=(*QUERIES, Query("format", "jsonl (JSON lines, the default) or csv.")),
        media_type="application/jsonl",
    ),
)
