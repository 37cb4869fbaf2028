"""How many ran at a time: the most in each quarter of an hour."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runhook.services.overview import DAY, SLOT, at_a_time

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
minutes = st.integers(-60, 1500).map(lambda each: SINCE + timedelta(minutes=each))
intervals = st.lists(st.tuples(minutes, minutes).map(lambda pair: (min(pair), max(pair))))


def test_one_after_the_other_is_one_at_a_time() -> None:
    begin = [SINCE + timedelta(minutes=each) for each in range(10)]
    found = at_a_time(list(pairwise(begin)), SINCE)
    assert found[0] == 1
    assert set(found[1:]) == {0}


@given(intervals)
def test_it_is_what_looking_at_every_minute_would_find(
    found: list[tuple[datetime, datetime]],
) -> None:
    def alive(at: datetime) -> int:
        return sum(begin <= at < end for begin, end in found)

    for slot, most in enumerate(at_a_time(found, SINCE)):
        first = SINCE + slot * SLOT
        looks = [first + timedelta(minutes=each) for each in range(15)]
        assert most == max(map(alive, looks))
    assert len(at_a_time(found, SINCE)) == DAY // SLOT
