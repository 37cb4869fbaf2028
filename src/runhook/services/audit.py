"""Writing down every change and every start, in the transaction that makes it."""

from datetime import datetime
from typing import Any

from runhook.model.access import Caller
from runhook.store import audit
from runhook.store.audit import Entry
from runhook.store.database import Transaction


def record(
    tx: Transaction,
    caller: Caller,
    action: str,
    now: datetime,
    *,
    kind: str,
    id: str,
    name: str,
    owner: str = "",
    before: Any = None,
    after: Any = None,
) -> None:
    """`caller` did `action` (`<kind>.<verb in the past>`, such as `job.changed`) to the thing of
    that kind, id and name, which belongs to `owner` (empty: to the server).

    `before` and `after` are JSON and tell what changed; nothing secret may stand in them.
    """
    entry = Entry(
        at=now,
        user_id=caller.user_id or None,
        user_name=caller.name,
        via=caller.via,
        address=caller.address,
        action=action,
        kind=kind,
        object_id=id,
        object_name=name,
        owner=owner,
        before=before,
        after=after,
    )
    audit.append(tx, entry)
