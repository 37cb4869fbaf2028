"""How long runs took, for whoever may see them. Nothing costs anything here."""

from collections.abc import Collection
from datetime import datetime

from runhook.errors import NotFound
from runhook.model.access import Caller
from runhook.services import groups
from runhook.services.access import require_scope
from runhook.store import people, usage
from runhook.store.database import Transaction
from runhook.store.usage import Spent


def of_everybody(tx: Transaction, caller: Caller, start: datetime, end: datetime) -> list[Spent]:
    """Of the jobs of all owners that the caller sees."""
    require_scope(caller, "user:read")
    owners: Collection[str] | None = None if caller.admin else [caller.owner, *caller.roles]
    return usage.spent(tx, start, end, owners)


def of_person(
    tx: Transaction, caller: Caller, who: str, start: datetime, end: datetime
) -> list[Spent]:
    """Of a person's own jobs: one's own, or anybody's for an administrator."""
    require_scope(caller, "user:read")
    user = people.find_user(tx, who)
    if user is None or not (caller.admin or user.id == caller.user_id):
        raise NotFound(f"there is no member {who} here")
    return usage.spent(tx, start, end, [user.owner])


def of_group(
    tx: Transaction, caller: Caller, which: str, start: datetime, end: datetime
) -> list[Spent]:
    """Of a group's jobs."""
    group = groups.get(tx, caller, which, "runs:read")
    return usage.spent(tx, start, end, [group.owner])
