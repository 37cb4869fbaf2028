"""When schedules fire, checked against simple models: every zone, 1970 to 2040."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runhook.model.schedule import Schedule, change_days

ZONES = sorted(available_timezones() - {"localtime"})
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
BERLIN = "Europe/Berlin"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def local_minutes(minutes: set[int], hours: set[int], begin: datetime, days: int) -> list[datetime]:
    """Every local time of some days that a rule with these minutes and hours names."""
    return [
        begin + n * DAY + timedelta(hours=hour, minutes=minute)
        for n in range(days)
        for hour in sorted(hours)
        for minute in sorted(minutes)
    ]


def instants_of(local: datetime, zone: ZoneInfo, offsets: set[timedelta]) -> list[datetime]:
    """The instants at which the zone's clock shows `local`: none, one or two."""
    found = {(local - offset).replace(tzinfo=UTC) for offset in offsets}
    return sorted(u for u in found if u.astimezone(zone).replace(tzinfo=None) == local)


def after_the_gap(local: datetime, zone: ZoneInfo, offsets: set[timedelta]) -> datetime:
    """The first instant at which the clock shows more than `local`, which it never shows."""
    instant = (local - max(offsets)).replace(tzinfo=UTC)
    while instant.astimezone(zone).replace(tzinfo=None) < local:
        instant += MINUTE
    while (instant - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None) > local:
        instant -= timedelta(seconds=1)
    return instant


def expected(locals_: list[datetime], zone: ZoneInfo, gap: str, repeat: str) -> list[datetime]:
    """The fires of these local times, by the stated rule and nothing else."""
    edges = [
        local.replace(tzinfo=UTC) + n * DAY
        for local in (locals_[0], locals_[-1])
        for n in (-1, 0, 1)
    ]
    hours = [
        edges[0] + n * timedelta(hours=1)
        for n in range(int((edges[-1] - edges[0]) / timedelta(hours=1)))
    ]
    offsets = {each.astimezone(zone).utcoffset() or timedelta() for each in hours}
    fires: set[datetime] = set()
    for local in locals_:
        instants = instants_of(local, zone, offsets)
        if not instants and gap == "later":
            fires.add(after_the_gap(local, zone, offsets))
        elif len(instants) == 2:
            fires.update({"first": instants[:1], "second": instants[1:]}.get(repeat, instants))
        else:
            fires.update(instants)
    return sorted(fires)


FIELDS = {
    "0": {0}, "30": {30}, "*/15": {0, 15, 30, 45}, "5,55": {5, 55}, "*": set(range(60)),
}  # fmt: skip
HOURS = {
    "*": set(range(24)), "0": {0}, "1": {1}, "2": {2}, "3": {3}, "23": {23}, "1-3": {1, 2, 3},
    "*/6": {0, 6, 12, 18},
}  # fmt: skip


@st.composite
def days(draw: st.DrawFn) -> tuple[str, date]:
    """A zone and a day, most often one on which its clocks change."""
    name = draw(st.sampled_from(ZONES))
    day = draw(st.dates(date(1970, 1, 3), date(2040, 12, 28)))
    if draw(st.booleans()):
        zone = ZoneInfo(name)
        for n in range(366):
            noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + n * DAY
            if noon.astimezone(zone).utcoffset() != (noon + DAY).astimezone(zone).utcoffset():
                day = min(noon.date(), date(2040, 12, 28))
                break
    return name, day


@settings(max_examples=150, deadline=None)
@given(
    days(),
    st.sampled_from(sorted(FIELDS)),
    st.sampled_from(sorted(HOURS)),
    st.sampled_from(["later", "skip"]),
    st.sampled_from([None, "first", "second", "both"]),
    st.integers(0, 2879),
)
@example((BERLIN, date(2026, 3, 28)), "30", "2", "later", None, 0)
@example((BERLIN, date(2026, 10, 24)), "30", "2", "later", "second", 0)
@example((BERLIN, date(2026, 10, 24)), "*/15", "*", "later", "both", 1530)
@example(("Pacific/Apia", date(2011, 12, 29)), "0", "*", "later", None, 0)
@example(("Australia/Lord_Howe", date(2026, 4, 4)), "*/15", "1-3", "later", "both", 0)
@example(("Africa/Monrovia", date(1972, 1, 6)), "*/15", "0", "later", "both", 0)
def test_fires_are_exactly_those_of_the_stated_rule(
    where: tuple[str, date], minute: str, hour: str, gap: str, repeat: str | None, begin: int
) -> None:
    name, day = where
    zone = ZoneInfo(name)
    dst = {"gap": gap, **({"repeat": repeat} if repeat else {})}
    rule = Schedule.model_validate({"cron": f"{minute} {hour} * * *", "zone": name, "dst": dst})
    start = datetime(day.year, day.month, day.day)
    locals_ = local_minutes(FIELDS[minute], HOURS[hour], start - DAY, 5)
    meant = repeat or ("both" if hour.startswith("*") else "first")
    fires = expected(locals_, zone, gap, meant)
    after = start.replace(tzinfo=UTC) - timedelta(hours=6) + begin * MINUTE
    until = after + timedelta(hours=30)
    found = list(takewhile(lambda fire: fire <= until, rule.fires(after)))
    assert found == [fire for fire in fires if after < fire <= until]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), st.datetimes(datetime(1970, 1, 2), datetime(2040, 1, 1)))
def test_fires_always_go_forward_and_no_start_changes_them(name: str, at: datetime) -> None:
    rule = Schedule(cron="*/20 * * * *", zone=name)
    fires = list(islice(rule.fires(at.replace(tzinfo=UTC)), 12))
    assert fires == sorted(set(fires))
    for fire, following in pairwise(fires):
        assert rule.next_fire(fire) == following


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["*/5 * * * *", "30 2 * * *", "@every 7m", "0 0 1 * *"]),
    st.one_of(
        st.sampled_from(["skip", "latest", "all"]),
        st.builds(
            lambda most, hours: {"most": most, "within": f"{hours}h"},
            st.integers(1, 9),
            st.integers(1, 60),
        ),
    ),
    st.integers(0, 60 * 24 * 40),
)
def test_catching_up_runs_exactly_what_the_policy_says(
    cron: str, catch_up: object, minutes: int
) -> None:
    rule = Schedule.model_validate({"cron": cron, "zone": BERLIN, "catch_up": catch_up})
    first = rule.next_fire(utc(2026, 3, 20))
    assert first
    now = first + minutes * MINUTE
    missed = list(takewhile(lambda fire: fire <= now, rule.fires_from(first)))
    wanted = {
        "skip": [fire for fire in missed if now - fire < MINUTE],
        "latest": missed[-1:],
        "all": [fire for fire in missed if fire >= now - 7 * DAY][-100:],
    }
    if isinstance(catch_up, dict):
        within = timedelta(hours=int(catch_up["within"][:-1]))
        expected_fires = [fire for fire in missed if fire >= now - within][-catch_up["most"] :]
    else:
        expected_fires = wanted[str(catch_up)]
    assert rule.due(first, now) == expected_fires


def test_years_of_missed_minutes_are_caught_up_without_listing_them() -> None:
    rule = Schedule(cron="* * * * *")
    assert rule.due(utc(1990, 1, 1), utc(2026, 6, 1, 12)) == [utc(2026, 6, 1, 12)]


def test_start_and_end_bound_the_fires_in_the_schedules_zone() -> None:
    rule = Schedule.model_validate(
        {"cron": "0 6 * * *", "zone": BERLIN, "start": "2026-06-02", "end": "2026-06-04"}
    )
    assert list(rule.fires(utc(2026, 1, 1))) == [utc(2026, 6, 2, 4), utc(2026, 6, 3, 4)]
    assert rule.next_fire(utc(2026, 6, 3, 4)) is None
    with pytest.raises(ValueError, match="later than start"):
        Schedule.model_validate({"cron": "@daily", "start": "2026-06-02", "end": "2026-06-02"})


def test_jitter_is_bounded_and_always_the_same() -> None:
    rule = Schedule.model_validate({"cron": "@hourly", "jitter": "10m"})
    delays = {rule.delay(f"schedule-{n}") for n in range(50)}
    assert len(delays) > 30
    assert all(timedelta() <= delay < timedelta(minutes=10) for delay in delays)
    assert rule.delay("schedule-1") == rule.delay("schedule-1")


@pytest.mark.parametrize(
    ("dst", "spring", "autumn"),
    [
        ({}, ["01:00"], ["00:30"]),
        ({"gap": "skip", "repeat": "second"}, [], ["01:30"]),
        ({"repeat": "both"}, ["01:00"], ["00:30", "01:30"]),
    ],
)
def test_the_preview_shows_the_days_on_which_clocks_change(
    dst: dict[str, str], spring: list[str], autumn: list[str]
) -> None:
    rule = Schedule.model_validate({"cron": "30 2 * * *", "zone": BERLIN, "dst": dst})
    forward, back = change_days(rule, utc(2026, 1, 1))
    assert (forward.at, forward.forward) == (utc(2026, 3, 29, 1), True)
    assert (back.at, back.forward) == (utc(2026, 10, 25, 1), False)
    assert [f"{fire:%H:%M}" for fire in forward.fires] == spring
    assert [f"{fire:%H:%M}" for fire in back.fires] == autumn


@given(
    st.one_of(
        st.text(max_size=30),
        st.text("0123456789*/-,LW#@ everySUNJAN", max_size=30),
        st.lists(st.text("0123456789*/-,LW#", min_size=1, max_size=4), min_size=5, max_size=5).map(
            " ".join
        ),
    )
)
def test_any_text_is_a_rule_or_a_sentence(text: str) -> None:
    try:
        rule = Schedule(cron=text)
    except ValueError:
        return
    assert rule.next_fire(utc(2026, 1, 1)) is not None
