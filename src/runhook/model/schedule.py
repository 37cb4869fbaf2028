"""When a job runs by itself: cron with a zone, named times and fixed intervals.

The next fire is always computed from the rule and the present instant, never armed by the last
fire, so a schedule cannot silently stop. Cron is evaluated by cronsim with Debian's rules for
daylight saving: a time in the gap fires once, right after it; a time that occurs twice fires once.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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


class Schedule(BaseModel):
    """One rule of a job: `cron` holds five fields, a name such as `@hourly`, or `@every 4h`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str = Field(max_length=255)
    zone: str = Field(
        default="UTC", max_length=64, description="IANA time zone, such as Europe/Berlin."
    )
    paused: bool | None = None

    @field_validator("zone")
    @classmethod
    def _check_zone(cls, zone: str) -> str:
        time_zone(zone)
        return zone

    @model_validator(mode="after")
    def _check_cron(self) -> "Schedule":
        next(self.fires(datetime.now(UTC)))
        return self

    def fires(self, after: datetime) -> Iterator[datetime]:
        """The fires later than `after`, in order, as instants in UTC. Endless.

        ValueError, as a sentence, if the rule cannot be read or never fires.
        """
        every = interval(self.cron)
        return (
            _intervals(every, after)
            if every
            else _cron_fires(self.cron, time_zone(self.zone), after)
        )

    def next_fire(self, after: datetime) -> datetime:
        """The first fire later than `after`, in UTC."""
        return next(self.fires(after))

    def explain(self) -> str:
        """The rule in words."""
        every = interval(self.cron)
        if every:
            return f"Every {self.cron.removeprefix('@every').strip()}"
        return f"{CronSim(_fields(self.cron), EPOCH).explain()} ({self.zone})"


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
    seconds = sum(
        int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([dhms])", match[1])
    )
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError("an interval lies between 10 seconds and 366 days")
    return timedelta(seconds=seconds)


def _intervals(every: timedelta, after: datetime) -> Iterator[datetime]:
    """Multiples of the interval since 1970: a restart, or a second server, finds the same."""
    step = (after - EPOCH) // every
    while True:
        step += 1
        yield EPOCH + step * every


def _cron_fires(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    try:
        fires = CronSim(_fields(cron), after.astimezone(zone))
        while True:
            yield next(fires).astimezone(UTC)
    except CronSimError as error:
        raise ValueError(f"cannot read the cron expression {cron!r}: {error}") from None
    except StopIteration:
        raise ValueError(f"the cron expression {cron!r} never fires") from None


def _fields(cron: str) -> str:
    fields = NAMED.get(cron.strip().lower(), cron.strip())
    if fields.startswith("@"):
        names = ", ".join(NAMED)
        raise ValueError(f"{cron!r} is not known; write five cron fields, {names}, or @every 4h")
    if len(fields.split()) != 5:
        raise ValueError("a cron expression has five fields: minute, hour, day, month, weekday")
    return fields
