"""Rows of events: what happened to a run, in the order it was recorded."""

from sqlalchemy import insert, select

from runhook.model.run import Event
from runhook.store.database import Transaction
from runhook.store.tables import events
from runhook.store.text import LONGEST_NAME, clean, cleaned


def record(tx: Transaction, *new: Event) -> None:
    """Append events."""
    rows = [
        {
            "run_id": e.run_id,
            "attempt_id": e.attempt_id,
            "at": e.at,
            "kind": clean(e.kind, LONGEST_NAME),
            "data": cleaned(e.data),
        }
        for e in new
    ]
    if rows:
        tx.execute(insert(events), rows)


def list_events(tx: Transaction, run_id: str) -> list[Event]:
    """The events of a run in the order they were recorded."""
    statement = select(events).where(events.c.run_id == run_id).order_by(events.c.id)
    return [
        Event(row.run_id, row.attempt_id, row.at, row.kind, row.data)
        for row in tx.execute(statement)
    ]


def events_after(tx: Transaction, run_id: str, after: int, limit: int) -> list[tuple[int, Event]]:
    """The first `limit` events of a run after the one of that number, with their numbers. A run is
    locked before an event of it is recorded, so none with a lower number comes later."""
    statement = select(events).where(events.c.run_id == run_id, events.c.id > after)
    return [
        (row.id, Event(row.run_id, row.attempt_id, row.at, row.kind, row.data))
        for row in tx.execute(statement.order_by(events.c.id).limit(limit))
    ]
