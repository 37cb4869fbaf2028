"""What becomes of a wall-clock time on a day on which the clocks change.

A zone's clock leaves out a gap when it goes forward and shows a stretch twice when it goes back. A
schedule states a rule for either; this module turns local times into instants by it.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

SECOND = timedelta(seconds=1)
LONGEST_CHANGE = timedelta(hours=25)


class Daylight(BaseModel):
    """`gap`: a time that does not exist fires right after the gap, or not at all. `repeat`: a time
    that comes twice fires at its first, its second, or both. Not given: `first`, or `both` if the
    rule says `*` for the hour, since such a rule means "so often", not "at that time"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gap: Literal["later", "skip"] = Field(default="later")
    repeat: Literal["first", "second", "both"] | None = Field(default=None)


def instants(local: datetime, zone: ZoneInfo, gap: str, repeat: str) -> list[datetime]:
    """The instants, in UTC, at which the naive time `local` fires: none, one or two."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first == second:
        return [first]
    if first > second:  # the rule before the change and the one after it miss each other: a gap
        return [] if gap == "skip" else [change_between(second, first, zone)]
    return {"first": [first], "second": [second]}.get(repeat, [first, second])


def change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant of the UTC offset that holds at `after`, to the second, by bisection;
    `before` has another one."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle <= before:
            break
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def next_changes(zone: ZoneInfo, after: datetime, count: int) -> list[datetime]:
    """The next instants, at most `count` and within three years, at which the clocks change."""
    found: list[datetime] = []
    day = after.replace(microsecond=0)
    end = day + timedelta(days=3 * 366)
    while day < end and len(found) < count:
        next_day = day + timedelta(days=1)
        if day.astimezone(zone).utcoffset() != next_day.astimezone(zone).utcoffset():
            found.append(change_between(day, next_day, zone))
        day = next_day
    return found
