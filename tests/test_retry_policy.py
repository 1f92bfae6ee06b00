from datetime import timedelta

import pytest

from django_dlq.exceptions import LONGEST_DELAY, Reject, RetryLater
from django_dlq.retry_policy import MOST_ATTEMPTS, RetryPolicy

pytestmark = pytest.mark.once

ERROR = ValueError("no")
SECOND = timedelta(seconds=1)


def delays(policy, error=ERROR, **options):
    """Return what is waited after each failed attempt until the message is dead."""
    waits = []
    while (delay := policy.delay_after(len(waits) + 1, error, **options)) is not None:
        waits.append(delay / SECOND)
    return waits


def test_the_default_ladder_is_rocketmqs_sixteen_steps():
    seconds = [10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200]

    assert delays(RetryPolicy()) == seconds


def test_a_policy_without_delays_gives_up_after_the_first_attempt():
    assert RetryPolicy(delays=()).delay_after(1, ERROR) is None


@pytest.mark.parametrize("error", [Reject("no"), KeyError("a"), LookupError()])
def test_some_errors_are_never_retried(error):
    assert RetryPolicy(never_retry=[LookupError]).delay_after(1, error) is None


def test_other_errors_follow_the_ladder():
    policy = RetryPolicy(delays=[timedelta(seconds=1), timedelta(seconds=5)], never_retry=[LookupError])

    assert delays(policy) == [1, 5]


class TestShapes:
    def test_fixed_waits_equally_long_each_time(self):
        assert delays(RetryPolicy.fixed(every=5 * SECOND, attempts=4)) == [5, 5, 5]

    def test_exponential_grows_up_to_the_longest(self):
        policy = RetryPolicy.exponential(first=SECOND, factor=3, longest=10 * SECOND, attempts=6, jitter=0)

        assert delays(policy) == [1, 3, 9, 10, 10]

    def test_exponential_grows_by_fractions_too(self):
        policy = RetryPolicy.exponential(first=2 * SECOND, factor=1.5, longest=60 * SECOND, attempts=4, jitter=0)

        assert delays(policy) == [2, 3, 4.5]

    def test_one_attempt_is_one_without_a_retry(self):
        assert delays(RetryPolicy.fixed(every=SECOND, attempts=1)) == []
        assert delays(RetryPolicy.exponential(first=SECOND, longest=SECOND, attempts=1)) == []

    def test_however_many_attempts_no_delay_is_too_long_for_a_database(self):
        policy = RetryPolicy.exponential(first=LONGEST_DELAY / 2, factor=1000, longest=LONGEST_DELAY, attempts=100)

        assert max(policy.delays) == LONGEST_DELAY

    def test_jitter_takes_a_share_of_the_delay_and_never_adds_to_it(self):
        policy = RetryPolicy.fixed(every=10 * SECOND, attempts=2, jitter=0.4)

        assert delays(policy, chance=lambda: 0.0) == [10]
        assert delays(policy, chance=lambda: 0.5) == [8]
        assert delays(policy, chance=lambda: 1.0) == [6]

    def test_what_failed_together_does_not_come_back_together(self):
        policy = RetryPolicy.exponential(first=timedelta(hours=1), longest=timedelta(hours=1), attempts=2)

        assert len({policy.delay_after(1, ERROR) for _ in range(20)}) > 1

    def test_a_shape_has_exceptions_too(self):
        fixed = RetryPolicy.fixed(every=SECOND, attempts=2, never_retry=[LookupError])
        none = {LookupError: RetryPolicy(delays=())}
        growing = RetryPolicy.exponential(first=SECOND, longest=SECOND, attempts=2, per_class=none)

        assert delays(fixed, KeyError()) == delays(growing, KeyError()) == []
        assert len(delays(fixed)) == len(delays(growing)) == 1


class TestPerClass:
    policy = RetryPolicy(
        delays=[SECOND],
        never_retry=[LookupError],
        per_class={
            OSError: RetryPolicy.fixed(every=2 * SECOND, attempts=3),
            TimeoutError: RetryPolicy.fixed(every=3 * SECOND, attempts=4),
            KeyError: RetryPolicy.fixed(every=4 * SECOND, attempts=2),
            RetryLater: RetryPolicy.fixed(every=5 * SECOND, attempts=9),
        },
    )

    @pytest.mark.parametrize(
        ("error", "waits"),
        [
            (OSError(), [2, 2]),
            (ConnectionResetError(), [2, 2]),
            (TimeoutError(), [3, 3, 3]),
            (type("Slow", (TimeoutError,), {})(), [3, 3, 3]),
            (type("Both", (ValueError, TimeoutError), {})(), [3, 3, 3]),
            (ERROR, [1]),
            (LookupError(), []),
            (IndexError(), []),
            (KeyError(), [4]),
            (RetryLater("busy"), [5] * 8),
            (RetryLater("busy", delay=timedelta(0)), [0] * 8),
        ],
    )
    def test_the_most_specific_class_counts(self, error, waits):
        assert delays(self.policy, error) == waits

    def test_attempts_count_whatever_they_failed_of(self):
        assert self.policy.delay_after(3, OSError()) is None
        assert self.policy.delay_after(3, TimeoutError()) == 3 * SECOND


class TestRetryLater:
    def test_a_handler_that_asks_for_a_delay_gets_it_while_attempts_are_left(self):
        policy = RetryPolicy(delays=[timedelta(seconds=1)], jitter=1)

        assert policy.delay_after(1, RetryLater("busy", delay=timedelta(minutes=5))) == timedelta(minutes=5)
        assert policy.delay_after(1, RetryLater("busy", delay=timedelta(0))) == timedelta(0)
        assert policy.delay_after(1, RetryLater("busy"), chance=lambda: 0.0) == timedelta(seconds=1)

    def test_asking_to_be_called_later_does_not_go_on_for_ever(self):
        policy = RetryPolicy(delays=[timedelta(seconds=1)])

        assert policy.delay_after(2, RetryLater("busy", delay=timedelta(minutes=5))) is None

    @pytest.mark.parametrize("delay", [5, "5", 1.0])
    def test_a_delay_is_a_timedelta(self, delay):
        with pytest.raises(TypeError, match="delay is a timedelta"):
            RetryLater("busy", delay=delay)

    @pytest.mark.parametrize("delay", [-SECOND, timedelta.max, LONGEST_DELAY + SECOND])
    def test_a_delay_is_one_that_a_database_can_wait_for(self, delay):
        with pytest.raises(ValueError, match="delay is from 0 to 36500 days"):
            RetryLater("busy", delay=delay)


FIXED = RetryPolicy.fixed(every=SECOND, attempts=2)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda: RetryPolicy(delays=[5]), TypeError, "a delay is a timedelta, not 5"),
        (lambda: RetryPolicy(delays="5 s"), TypeError, "delays is a list"),
        (lambda: RetryPolicy(delays=SECOND), TypeError, "delays is a list"),
        (lambda: RetryPolicy(delays=[timedelta(0)]), ValueError, "more than 0"),
        (lambda: RetryPolicy(delays=[-SECOND]), ValueError, "more than 0"),
        (lambda: RetryPolicy(delays=[timedelta.max]), ValueError, "at most 36500 days"),
        (lambda: RetryPolicy(delays=[SECOND] * MOST_ATTEMPTS), ValueError, "10000 attempts"),
        (lambda: RetryPolicy(jitter=1.5), ValueError, "jitter is from 0 to 1"),
        (lambda: RetryPolicy(jitter=float("nan")), ValueError, "jitter is from 0 to 1"),
        (lambda: RetryPolicy(jitter="0.5"), TypeError, "jitter is a number"),
        (lambda: RetryPolicy(jitter=True), TypeError, "jitter is a number"),
        (lambda: RetryPolicy(never_retry=["ValueError"]), TypeError, "never_retry names exception classes"),
        (lambda: RetryPolicy(never_retry=ValueError), TypeError, "never_retry names several"),
        (lambda: RetryPolicy(never_retry=[ERROR]), TypeError, "never_retry names exception classes"),
        (lambda: RetryPolicy(per_class=[OSError]), TypeError, "per_class is a dict"),
        (lambda: RetryPolicy(per_class={"OSError": FIXED}), TypeError, "per_class names exception classes"),
        (lambda: RetryPolicy(per_class={OSError: SECOND}), TypeError, "gives OSError a RetryPolicy"),
        (lambda: RetryPolicy(per_class={OSError: RetryPolicy(per_class={KeyError: FIXED})}), ValueError, "of its own"),
        (lambda: RetryPolicy(per_class={OSError: RetryPolicy(never_retry=[KeyError])}), ValueError, "of its own"),
        (lambda: RetryPolicy(per_class={Reject: FIXED}), ValueError, "Reject is never retried"),
        (lambda: RetryPolicy(per_class={OSError: FIXED}, never_retry=[OSError]), ValueError, "OSError is never"),
        (lambda: RetryPolicy.fixed(every=5, attempts=2), TypeError, "a delay is a timedelta"),
        (lambda: RetryPolicy.fixed(every=SECOND, attempts=0), ValueError, "attempts is from 1"),
        (lambda: RetryPolicy.fixed(every=SECOND, attempts=MOST_ATTEMPTS + 1), ValueError, "to 10000"),
        (lambda: RetryPolicy.fixed(every=SECOND, attempts=2.0), TypeError, "attempts is a whole number"),
        (lambda: RetryPolicy.fixed(every=SECOND, attempts=True), TypeError, "attempts is a whole number"),
        (lambda: RetryPolicy.exponential(first=5, longest=SECOND, attempts=2), TypeError, "a delay is a timedelta"),
        (lambda: RetryPolicy.exponential(first=SECOND, longest=SECOND / 2, attempts=2), ValueError, "shorter than"),
        (lambda: RetryPolicy.exponential(first=SECOND, longest=SECOND, attempts=2, factor=0.5), ValueError, "factor"),
        (lambda: RetryPolicy.exponential(first=SECOND, longest=SECOND, attempts=2, factor="2"), TypeError, "factor"),
    ],
)  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused_where_it_is_written(wrong, error, words):
    with pytest.raises(error, match=words):
        wrong()
