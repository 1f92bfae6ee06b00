from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_dlq import outbox
from django_dlq.exceptions import CheckerConflict, UnknownChecker
from django_dlq.outbox import Verdict

pytestmark = pytest.mark.once


def yes(_):
    return Verdict.COMMIT


def no(_):
    return Verdict.ROLLBACK


def test_a_checker_stays_callable_and_is_found_by_its_name(no_checkers):
    assert outbox.checker("charge", timeout=timedelta(seconds=3))(yes) is yes

    found = no_checkers.expect("charge")
    assert (found.function, found.timeout) == (yes, timedelta(seconds=3))


def test_the_same_function_may_be_registered_again(no_checkers):
    outbox.checker("charge")(yes)
    outbox.checker("charge")(yes)

    assert list(no_checkers.by_name) == ["charge"]


def test_two_functions_cannot_have_one_name(no_checkers):
    outbox.checker("charge")(yes)

    with pytest.raises(
        CheckerConflict, match=r"test_checkers\.yes and .*test_checkers\.no are both .*'charge'"
    ) as refusal:
        outbox.checker("charge")(no)
    assert isinstance(refusal.value, ImproperlyConfigured)


def test_an_unknown_one_is_refused_and_the_known_ones_are_named(no_checkers):
    with pytest.raises(UnknownChecker, match="the checkers are: none"):
        no_checkers.expect("charge")
    outbox.checker("refund")(yes)
    with pytest.raises(UnknownChecker, match="'charge'; the checkers are: refund"):
        no_checkers.expect("charge")


@pytest.mark.parametrize("name", ["", "a" * 256, "nul\x00", None, yes])
def test_a_name_that_no_column_can_hold_is_refused(name):
    with pytest.raises(TypeError, match="name is a text"):
        outbox.checker(name)


@pytest.mark.parametrize("timeout", [timedelta(0), 5])
def test_a_timeout_that_is_no_time_is_refused(timeout):
    with pytest.raises(TypeError, match="timeout is a timedelta above 0"):
        outbox.checker("charge", timeout=timeout)
