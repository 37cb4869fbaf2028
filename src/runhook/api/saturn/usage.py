"""Handlers of usage: how many hours runs took, as the compatible contract counts it; and their rows
of the table. Nothing costs anything here, so dollars are 0."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import Response

from runhook.api.call import Call, Json, Query, Route
from runhook.api.saturn.people_shapes import no_limits_json
from runhook.errors import Invalid
from runhook.services import organization, usage
from runhook.store import people
from runhook.store.database import Transaction
from runhook.store.usage import Spent

MONTH = timedelta(days=30)


def _moment(call: Call, name: str, default: datetime) -> datetime:
    """An instant or a day of the query; without an offset it is UTC."""
    text = call.query(name)
    if text is None:
        return default
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        details = {name: "write a day or an instant such as 2026-01-31T06:00:00Z"}
        raise Invalid(f"cannot read {name}", details=details) from None


def _span(call: Call) -> tuple[datetime, datetime]:
    """From when until when; the last 30 days if it is not said."""
    end = _moment(call, "end", call.now)
    return _moment(call, "start", call.now - MONTH), end


def _hours(found: Iterable[Spent]) -> float:
    return round(sum(each.seconds for each in found) / 3600, 6)


def _daily_json(found: Iterable[Spent]) -> dict[str, Any]:
    """A `DailyUsageList`: what several owners used on a day stands together."""
    together: dict[tuple[str, str], list[Spent]] = defaultdict(list)
    for each in found:
        together[each.day.isoformat(), each.instance_type].append(each)
    return {
        "usage": [
            {
                "hours": _hours(spent),
                "dollars": 0,
                "date": day,
                "instance_type": instance_type,
                "resource_type": "job",
            }
            for (day, instance_type), spent in together.items()
        ]
    }


def _of_everybody(tx: Transaction, call: Call) -> list[Spent]:
    start, end = _span(call)
    organization.get(tx, call.caller, call.server.organization, call.path("org_id"))
    return usage.of_everybody(tx, call.caller, start, end)


async def daily(call: Call) -> Response:
    return Json(_daily_json(await call.read(lambda tx: _of_everybody(tx, call))))


async def aggregated(call: Call) -> Response:
    found = await call.read(lambda tx: _of_everybody(tx, call))
    return Json({"hours": _hours(found), "dollars": 0})


async def by_owner(call: Call) -> Response:
    """An `OwnerUsageList`."""

    def work(tx: Transaction) -> list[dict[str, Any]]:
        spent: dict[str, list[Spent]] = defaultdict(list)
        for each in _of_everybody(tx, call):
            spent[each.owner].append(each)
        known = people.owners_named(tx, spent.keys())
        return [
            {
                "hours": _hours(spent[name]),
                "dollars": 0,
                "owner": {
                    "name": name,
                    "identity_type": owner.kind,
                    f"{owner.kind}_id": owner.id,
                },
            }
            for name, owner in sorted(known.items())
        ]

    return Json({"usage": await call.read(work)})


async def daily_of_member(call: Call) -> Response:
    start, end = _span(call)

    def work(tx: Transaction) -> list[Spent]:
        organization.get(tx, call.caller, call.server.organization, call.path("org_id"))
        return usage.of_person(tx, call.caller, call.path("user_id"), start, end)

    return Json(_daily_json(await call.read(work)))


async def daily_of_group(call: Call) -> Response:
    start, end = _span(call)
    which = call.path("group_id")
    found = await call.read(lambda tx: usage.of_group(tx, call.caller, which, start, end))
    return Json(_daily_json(found))


async def own(call: Call) -> Response:
    """Hours and dollars; and, since the contract's document has them here, the limits that there
    are not."""
    start, end = _span(call)

    def work(tx: Transaction) -> dict[str, Any]:
        org = organization.get(tx, call.caller, call.server.organization)
        found = usage.of_person(tx, call.caller, call.caller.user_id, start, end)
        return {**no_limits_json(org), "hours": _hours(found), "dollars": 0}

    return Json(await call.read(work))


async def billing(call: Call) -> Response:
    """There is none: no body, which clients read as no subscription."""
    asked = call.query("org_id")
    await call.read(lambda tx: organization.get(tx, call.caller, call.server.organization, asked))
    return Response(status_code=204)


SPAN = (
    Query("start", "From this day or instant on; default: 30 days ago."),
    Query("end", "Until before this one; default: now."),
)
USAGE = "/api/orgs/{org_id}/usage"
ROUTES: tuple[Route, ...] = (
    Route("GET", f"{USAGE}/daily", "user:read", daily, "Hours of runs by day.", queries=SPAN),
    Route("GET", f"{USAGE}/owners", "user:read", by_owner, "Hours by owner.", queries=SPAN),
    Route(
        "GET", f"{USAGE}/aggregated", "user:read", aggregated, "Hours, all in all.", queries=SPAN
    ),
    Route(
        "GET",
        "/api/orgs/{org_id}/members/{user_id}/usage/daily",
        "user:read",
        daily_of_member,
        "Hours of your own runs by day.",
        queries=SPAN,
    ),
    Route(
        "GET",
        "/api/groups/{group_id}/usage/daily",
        "runs:read",
        daily_of_group,
        "Hours of the runs of a group, by day.",
        queries=SPAN,
    ),
    Route("GET", "/api/user/usage/aggregated", "user:read", own, "Your hours.", queries=SPAN),
    Route(
        "GET",
        "/api/billing/info",
        "user:read",
        billing,
        "Nothing is billed: an empty answer.",
        status=204,
        queries=(Query("org_id", "The organisation."),),
    ),
)
