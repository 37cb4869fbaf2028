"""When a job runs by itself: cron with a zone, named times and fixed intervals.

The next fire is always computed from the rule and the present instant, never armed by the last
fire, so a schedule cannot silently stop. cronsim lists the local times of a rule; `daylight` turns
them into instants. Everything here is a pure function of its arguments.
"""

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from runhook.model.daylight import LONGEST_CHANGE, Daylight, instants, next_changes
from runhook.model.policy import Overlap, stable_fraction
from runhook.model.quantity import Delay, Duration, delay_seconds, seconds

NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
EVERY = re.compile(r"^@every\s+((?:\d+[dhms]\s*)+)$")
UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
SHORTEST, LONGEST = 10, 366 * 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR = 9000
LONGEST_JITTER = 86_400
MISSED_AFTER = timedelta(seconds=60)
"""A fire that is later than this was missed: the catch-up rule says what becomes of it."""
SHORTLY = timedelta(microseconds=1)
STRETCHES = [timedelta(days=days) for days in (1 / 24, 1, 31, 366, 366 * 1000)]


class CatchUp(BaseModel):
    """Run missed fires one by one, oldest first: the newest `most` of those within `within`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most: int = Field(default=100, ge=1, le=1000)
    within: Duration = Field(default="7d")


class Schedule(BaseModel):
    """One rule of a job: `cron` holds five fields, a name such as `@hourly`, or `@every 4h`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str = Field(max_length=255)
    zone: str = Field(
        default="UTC", max_length=64, description="IANA time zone, such as Europe/Berlin."
    )
    parameters: dict[str, Any] | None = Field(
        default=None, description="Values for declared parameters."
    )
    catch_up: Literal["skip", "latest", "all"] | CatchUp = Field(
        default="latest", description="What becomes of fires missed while no server ran."
    )
    overlap: Overlap | None = Field(default=None, description="Instead of the job's overlap.")
    dst: Daylight | None = Field(default=None, description="When clocks change: gap and repeat.")
    start: datetime | date | None = Field(default=None, description="No fire before it.")
    end: datetime | date | None = Field(default=None, description="No fire from then on.")
    jitter: Delay | None = Field(
        default=None, description="Fire up to so much later, always by the same amount."
    )
    paused: bool | None = None

    @field_validator("zone")
    @classmethod
    def _check_zone(cls, zone: str) -> str:
        time_zone(zone)
        return zone

    @field_validator("start", "end", mode="before")
    @classmethod
    def _a_day_is_a_date(cls, value: Any) -> Any:
        """A date as text stays a date, and comes back as it was given."""
        if isinstance(value, str) and len(value) == len("2026-01-31"):
            return date.fromisoformat(value)
        return value

    @model_validator(mode="after")
    def _check(self) -> "Schedule":
        try:
            next(_fires(self, EPOCH + timedelta(days=365 * 56)))
            first, last = self.first_instant, self.last_instant
        except OverflowError:
            first = last = EPOCH.replace(year=LAST_YEAR)
        if any(each and not EPOCH.year <= each.year < LAST_YEAR for each in (first, last)):
            raise ValueError(f"start, end: write dates from {EPOCH.year} to {LAST_YEAR - 1}")
        if delay_seconds(self.jitter or 0) > LONGEST_JITTER:
            raise ValueError("jitter: at most a day")
        if first and last and first >= last:
            raise ValueError("end: must be later than start")
        return self

    @property
    def first_instant(self) -> datetime | None:
        """The instant of `start`: without an offset it is meant in the schedule's zone."""
        return _instant(self.start, time_zone(self.zone))

    @property
    def last_instant(self) -> datetime | None:
        """The instant of `end`."""
        return _instant(self.end, time_zone(self.zone))

    def fires(self, after: datetime) -> Iterator[datetime]:
        """The fires later than `after`, in order, as instants in UTC, until the end if there is
        one."""
        first, last = self.first_instant, self.last_instant
        if first and first > after:
            after = first - SHORTLY
        found = _fires(self, after)
        return takewhile(lambda fire: fire < last, found) if last else found

    def fires_from(self, begin: datetime) -> Iterator[datetime]:
        """The same, with one that is at `begin`."""
        return self.fires(begin - SHORTLY)

    def next_fire(self, after: datetime) -> datetime | None:
        """The first fire later than `after`, in UTC; None if there is no further one."""
        return next(self.fires(after), None)

    def delay(self, identity: str) -> timedelta:
        """How much later than its fire a run is due: the jitter, the same for one `identity`."""
        longest = delay_seconds(self.jitter or 0)
        return timedelta(seconds=int(longest * stable_fraction(identity)))

    def explain(self) -> str:
        """The rule in words."""
        every = interval(self.cron)
        if every:
            return f"Every {self.cron.removeprefix('@every').strip()}"
        return f"{CronSim(_fields(self.cron), EPOCH).explain()} ({self.zone})"

    def due(self, fire: datetime, now: datetime) -> list[datetime]:
        """Which fires to run now, oldest first, when the next one was `fire` and it is `now`: the
        one that is due, and what the catch-up rule wants of those that were missed."""
        if self.catch_up == "skip":
            return [each for each in self._passed(fire, now, 10) if now - each < MISSED_AFTER]
        if self.catch_up == "latest":
            return self._passed(fire, now, 1)
        rule = CatchUp() if self.catch_up == "all" else self.catch_up
        oldest = now - timedelta(seconds=seconds(rule.within))
        return [each for each in self._passed(fire, now, rule.most) if each >= oldest]

    def _passed(self, fire: datetime, now: datetime, most: int) -> list[datetime]:
        """The newest `most` fires from `fire` to `now`. Looked for in ever longer stretches before
        `now`: a rule that was missed for years may have fired millions of times."""
        for stretch in STRETCHES:
            begin = max(fire, now - stretch)
            found = list(takewhile(lambda each: each <= now, self.fires_from(begin)))
            if len(found) >= most or begin == fire:
                break
        return found[-most:]


def time_zone(name: str) -> ZoneInfo:
    """The zone called `name`; ValueError if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin") from None


def interval(cron: str) -> timedelta | None:
    """The interval of an `@every` rule, None for any other rule."""
    match = EVERY.match(cron.strip())
    if not match:
        return None
    length = sum(
        int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([dhms])", match[1])
    )
    if not SHORTEST <= length <= LONGEST:
        raise ValueError("an interval lies between 10 seconds and 366 days")
    return timedelta(seconds=length)


@dataclass(frozen=True)
class ChangeDay:
    """A coming day on which the clocks change: when, and the fires around it as (instant, local
    time, note)."""

    at: datetime
    forward: bool
    fires: list[datetime]


def change_days(rule: Schedule, after: datetime, count: int = 2) -> list[ChangeDay]:
    """What the rule does on the next days on which its zone's clocks change: the fires within
    twelve hours of each change, at most 24."""
    zone = time_zone(rule.zone)
    found = []
    for at in next_changes(zone, after, count):
        before, behind = at - timedelta(hours=1), at + timedelta(hours=1)
        forward = _offset(behind, zone) > _offset(before, zone)
        around = takewhile(
            lambda fire, end=at + timedelta(hours=12): fire <= end,  # type: ignore[misc]
            rule.fires(at - timedelta(hours=12)),
        )
        found.append(ChangeDay(at, forward, list(islice(around, 24))))
    return found


def _fires(rule: Schedule, after: datetime) -> Iterator[datetime]:
    """Endless. ValueError, as a sentence, if the rule cannot be read or never fires."""
    every = interval(rule.cron)
    if every:
        return _intervals(every, after)
    return _cron_fires(rule.cron, time_zone(rule.zone), rule.dst or Daylight(), after)


def _intervals(every: timedelta, after: datetime) -> Iterator[datetime]:
    """Multiples of the interval since 1970: a restart, or a second server, finds the same."""
    step = (after - EPOCH) // every
    while True:
        step += 1
        yield EPOCH + step * every


def _cron_fires(cron: str, zone: ZoneInfo, dst: Daylight, after: datetime) -> Iterator[datetime]:
    """Local times in their order, each as its instants, sorted. What waits in the heap goes out
    once no later local time can come before it."""
    repeat = dst.repeat or ("both" if _so_often(cron) else "first")
    waiting: list[datetime] = []
    last = after
    for local, later in pairwise(_local_times(cron, _begin(zone, after))):
        for instant in instants(local, zone, dst.gap, repeat):
            heapq.heappush(waiting, instant)
        bound = min(instants(later, zone, "later", "first"))
        while waiting and waiting[0] <= bound:
            instant = heapq.heappop(waiting)
            if instant > last:  # what fires right after a gap may be there already
                yield instant
                last = instant


def _begin(zone: ZoneInfo, after: datetime) -> datetime:
    """The local time to begin with. Shortly before clocks go back, local times that have passed
    once will come again."""
    local = after.astimezone(zone).replace(tzinfo=None)
    unchanged = _offset(after, zone) == _offset(after + LONGEST_CHANGE, zone)
    return local - timedelta(minutes=1) if unchanged else local - LONGEST_CHANGE


def _local_times(cron: str, begin: datetime) -> Iterator[datetime]:
    try:
        times = CronSim(_fields(cron), begin)
        while True:
            yield next(times)
    except CronSimError as error:
        raise ValueError(f"cannot read the cron expression {cron!r}: {error}") from None
    except StopIteration:
        raise ValueError(f"the cron expression {cron!r} never fires") from None


def _so_often(cron: str) -> bool:
    """Does the rule name no hour, so that it means "so often"?"""
    return _fields(cron).split()[1].startswith("*")


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _instant(value: datetime | date | None, zone: ZoneInfo) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


def _fields(cron: str) -> str:
    fields = NAMED.get(cron.strip().lower(), cron.strip())
    if fields.startswith("@"):
        names = ", ".join(NAMED)
        raise ValueError(f"{cron!r} is not known; write five cron fields, {names}, or @every 4h")
    if len(fields.split()) != 5:
        raise ValueError("a cron expression has five fields: minute, hour, day, month, weekday")
    return fields
