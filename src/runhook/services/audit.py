"""Writing down every change and every start, in the transaction that makes it; and reading that.

An admin of an owner reads what was done to the owner's things, an administrator of the server also
what was done to the server.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from runhook.model.access import ROLE_OF, Caller
from runhook.model.job import Job
from runhook.model.run import Run
from runhook.services.access import require, visible_owners
from runhook.store import audit
from runhook.store.audit import Entry, Wanted
from runhook.store.database import Transaction

AUTOMATIC = frozenset({"schedule", "webhook", "another job"})
"""Credentials of nobody in particular: what acts is not the account that it acts for."""
LONGEST_VALUE = 1024
"""Characters of JSON that one value may take in an entry: entries stay, so they are small."""
BATCH = 500
"""Entries of an export that are read at a time."""


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
        user_id=None if caller.via in AUTOMATIC else caller.user_id or None,
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


def shortened(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as an entry may hold them: of one whose JSON is long the beginning, as text, and a
    word that it was cut."""
    return {name: _shortened(value) for name, value in values.items()}


def _shortened(value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST_VALUE:
        return value
    return f"{text[:LONGEST_VALUE]}… (cut: {len(text)} characters in all)"


def record_run(
    tx: Transaction,
    caller: Caller,
    action: str,
    run: Run,
    job: Job,
    now: datetime,
    after: Any = None,
) -> None:
    """`caller` did `action` to a run of `job`."""
    name = f"run {run.number} of {job.name}"
    record(tx, caller, action, now, kind="run", id=run.id, name=name, owner=job.owner, after=after)


def page(
    tx: Transaction,
    caller: Caller,
    wanted: Wanted,
    *,
    size: int,
    owner: str | None = None,
    after: int | None = None,
    before: int | None = None,
) -> list[Entry]:
    """Entries that the caller may read, newest first; of one owner if `owner` is given."""
    readable = replace(wanted, owners=_owners(caller, owner))
    return audit.newest_first(tx, readable, size=size, after=after, before=before)


def export(
    tx: Transaction, caller: Caller, wanted: Wanted, owner: str | None = None
) -> tuple[Wanted, int]:
    """What `next_batch` needs to go through all that the caller may read, as of now: the entries
    wanted, and the id of the last."""
    return replace(wanted, owners=_owners(caller, owner)), audit.newest_id(tx)


def next_batch(tx: Transaction, readable: Wanted, above: int, up_to: int) -> list[Entry]:
    """The entries of an export that follow the id `above` (first 0), oldest first; none are left if
    it is empty."""
    return audit.oldest_first(tx, readable, size=BATCH, above=above, up_to=up_to)


def _owners(caller: Caller, owner: str | None) -> Collection[str] | None:
    """The owners whose entries the caller may read; None means all, and the server's."""
    if owner is not None:
        require(caller, "audit:read", owner, what=f"owner {owner}")
        return [owner]
    visible = visible_owners(caller, "audit:read")
    if visible is None:
        return None
    least = ROLE_OF["audit:read"].rank
    return [each for each in visible if (role := caller.role_on(each)) and role.rank >= least]
