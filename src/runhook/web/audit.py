"""The page of the audit log: entries by filters that stand in its address."""

import json
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from runhook.errors import Invalid
from runhook.services import audit
from runhook.services.audit_query import FILTERS, wanted_of
from runhook.store.audit import Entry
from runhook.store.database import Transaction
from runhook.web.ask import Ask

SHOWN = 50
PAGE_OF = {"job": "/dash/resources/job/", "run": "/dash/runs/"}
"""Kinds of things that have a page of their own, by id."""


class Change(NamedTuple):
    """What became of one field; None: it was or is not there."""

    field: str
    before: str | None
    after: str | None


async def audit_page(ask: Ask) -> Response:
    """Filters that cannot be read are told, and no entries are shown."""
    said = {name: ask.query(name).strip() for name in FILTERS}
    after = _id(ask.query("after"))
    try:
        wanted, owner = wanted_of(said)
    except Invalid as error:
        return _page(ask, said, [], 422, wrong=error.details)

    def work(tx: Transaction) -> list[Entry]:
        return audit.page(tx, ask.caller, wanted, size=SHOWN + 1, owner=owner, after=after)

    return _page(ask, said, await ask.read(work))


def _page(
    ask: Ask,
    said: dict[str, str],
    found: list[Entry],
    status: int = 200,
    wrong: dict[str, str] | None = None,
) -> Response:
    query = {name: text for name, text in said.items() if text}
    older = {**query, "after": str(found[SHOWN - 1].id)} if len(found) > SHOWN else None
    return ask.page(
        "audit.html",
        status,
        entries=[(entry, address_of(entry), changes(entry)) for entry in found[:SHOWN]],
        said=said,
        wrong=wrong or {},
        filtered=bool(query),
        query=urlencode(query),
        older=urlencode(older) if older else "",
    )


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def address_of(entry: Entry) -> str | None:
    """The page of what the entry is about. It may be gone by now."""
    place = PAGE_OF.get(entry.kind)
    return f"{place}{entry.object_id}" if place else None


def changes(entry: Entry) -> list[Change]:
    """What the entry tells, field by field."""
    before, after = _fields(entry.before), _fields(entry.after)
    return [Change(name, _shown(before, name), _shown(after, name)) for name in {**before, **after}]


def _fields(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    return value if isinstance(value, dict) else {"value": value}


def _shown(fields: dict[str, Any], name: str) -> str | None:
    if name not in fields:
        return None
    value = fields[name]
    return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
