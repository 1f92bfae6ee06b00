"""What takes long is done seldom, and never too seldom."""

import pytest

from django_dlq.relaying.pace import SHARE, Pace

pytestmark = pytest.mark.once


def rests(pace: Pace, *took: float) -> float:
    """Return the seconds for which it rests when it has last taken so long."""
    for seconds in took:
        pace.rest(100.0, seconds)
    tenths = next(tenths for tenths in range(10_000) if pace.is_due(100 + tenths / 10))
    return tenths / 10


def test_it_begins_at_once() -> None:
    assert Pace(1, 60).is_due(0)


def test_what_is_quick_is_done_often() -> None:
    assert rests(Pace(1, 60), 0.001, 0.001) == 1


def test_what_takes_long_rests_many_times_as_long() -> None:
    assert rests(Pace(1, 600), 2.0, 2.0) == 2 * SHARE


def test_it_never_rests_longer_than_it_may() -> None:
    assert rests(Pace(1, 60), 1000, 1000) == 60


def test_being_slow_once_is_no_reason_to_rest_longer() -> None:
    assert rests(Pace(1, 60), 0.001, 0.5) == 1
    assert rests(Pace(1, 60), 0.001, 0.5, 0.001) == 1
    assert rests(Pace(1, 60), 0.001, 0.5, 0.4) == 0.4 * SHARE
