import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_dlq.rate_limit import TokenBucket, per_second

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("rate", "number"),
    [
        ("100/s", 100),
        ("0.5/s", 0.5),
        ("30/min", 0.5),
        ("60/m", 1),
        ("3600/hour", 1),
        ("86400/day", 1),
        (7, 7),
        (0.1, 0.1),
    ],
)
def test_a_rate_is_read(rate, number):
    assert per_second(rate) == pytest.approx(number)


@pytest.mark.parametrize(
    "rate",
    ["", "fast", "100", "100/", "/s", "0/s", "-1/s", "1/week", " 1/s", 0, -5, float("inf"), float("nan"), True, None],
)
def test_what_is_no_rate_is_a_mistake_that_shows_one(rate):
    with pytest.raises(ValueError, match='"100/s"'):
        per_second(rate)


def test_a_bucket_begins_with_one_and_fills_at_its_rate():
    bucket = TokenBucket(10)
    assert bucket.there(0) == 1
    bucket.take(1)
    assert (bucket.there(0), bucket.wait()) == (0, pytest.approx(0.1))
    assert bucket.there(0.1) == 1
    assert bucket.there(0.25) == 2


def test_what_nobody_takes_is_kept_for_a_second():
    bucket = TokenBucket(10)
    bucket.there(0)

    assert bucket.there(3600) == 10


def test_a_slow_rate_keeps_one():
    bucket = TokenBucket(1 / 60)
    bucket.there(0)
    bucket.take(1)

    assert (bucket.there(30), bucket.there(61), bucket.there(10_000)) == (0, 1, 1)


def test_with_one_there_nobody_waits():
    bucket = TokenBucket(5)
    bucket.there(0)

    assert bucket.wait() == 0


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 3), max_size=50))
def test_in_no_time_are_more_taken_than_the_rate_gives_and_a_second_s_worth(rate, pauses):
    bucket, now, taken = TokenBucket(rate), 0.0, 0
    for pause in pauses:
        now += pause
        there = bucket.there(now)
        bucket.take(there)
        taken += there
    assert taken <= rate * now + 1 + 1e-6
