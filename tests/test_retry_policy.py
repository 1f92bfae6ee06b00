from datetime import timedelta

import pytest

from django_dlq.exceptions import Reject, RetryLater
from django_dlq.retry_policy import RetryPolicy

pytestmark = pytest.mark.once

ERROR = ValueError("no")


def test_the_default_ladder_is_rocketmqs_sixteen_steps():
    seconds = [10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200]

    assert [RetryPolicy().delay_after(attempt, ERROR) for attempt in range(1, 18)] == [
        *(timedelta(seconds=step) for step in seconds),
        None,
    ]


def test_a_policy_without_delays_gives_up_after_the_first_attempt():
    assert RetryPolicy(delays=()).delay_after(1, ERROR) is None


@pytest.mark.parametrize("error", [Reject("no"), KeyError("a"), LookupError()])
def test_some_errors_are_never_retried(error):
    assert RetryPolicy(never_retry=[LookupError]).delay_after(1, error) is None


def test_other_errors_follow_the_ladder():
    policy = RetryPolicy(delays=[timedelta(seconds=1), timedelta(seconds=5)], never_retry=[LookupError])

    assert policy.delay_after(1, ERROR) == timedelta(seconds=1)
    assert policy.delay_after(2, ERROR) == timedelta(seconds=5)
    assert policy.delay_after(3, ERROR) is None


def test_a_handler_that_asks_for_a_delay_gets_it_while_attempts_are_left():
    policy = RetryPolicy(delays=[timedelta(seconds=1)])

    assert policy.delay_after(1, RetryLater("busy", delay=timedelta(minutes=5))) == timedelta(minutes=5)
    assert policy.delay_after(1, RetryLater("busy", delay=timedelta(0))) == timedelta(0)
    assert policy.delay_after(1, RetryLater("busy")) == timedelta(seconds=1)
    assert policy.delay_after(2, RetryLater("busy", delay=timedelta(minutes=5))) is None
