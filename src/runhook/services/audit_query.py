"""Which audit entries somebody asks for, read off the words of a query. Used by API and pages."""

from collections.abc import Mapping
from datetime import UTC, datetime, time

from runhook.errors import Invalid
from runhook.store.audit import Wanted

FILTERS: Mapping[str, str] = {
    "action": "The beginning of an action, such as job or job.changed.",
    "kind": "What was changed, such as job, run or user.",
    "object": "Its id.",
    "user": "Name or id of the account that did it.",
    "owner": "organisation/identity: only what was done to this owner's things.",
    "from": "Not before this instant (RFC 3339) or day (UTC).",
    "until": "Before this instant or day.",
    "text": "Part of a name: of the thing, of who did it, or of the owner.",
}
"""The words of a query, and what each says."""


def wanted_of(query: Mapping[str, str]) -> tuple[Wanted, str | None]:
    """The entries that `query` (of FILTERS; empty ones say nothing) asks for, and their owner if it
    names one. Invalid if an instant cannot be read."""
    said = {name: text for name in FILTERS if (text := query.get(name, "").strip())}
    wanted = Wanted(
        action=said.get("action"),
        kind=said.get("kind"),
        object_id=said.get("object"),
        user=said.get("user"),
        since=_instant(said, "from"),
        until=_instant(said, "until"),
        text=said.get("text"),
    )
    return wanted, said.get("owner")


def _instant(said: Mapping[str, str], name: str) -> datetime | None:
    if name not in said:
        return None
    text = said[name].replace(" ", "+")  # a plus sign that was not written as %2B
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None and at.time() != time():
            raise ValueError("no zone")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        sentence = "write an instant with its zone, such as 2026-01-31T12:00:00Z, or a day"
        raise Invalid(f"cannot read {name}", details={name: sentence}) from None
