import pytest

from django_dlq.exceptions import Expired, Reject, RetryLater, Skip
from django_dlq.failure_rule import Compensate, Decision, check_rule, decide
from django_dlq.message import ReceivedMessage, Record

pytestmark = pytest.mark.once

MESSAGE = ReceivedMessage.of(Record(topic="orders", partition=0, offset=7), "shipping")


def undo(message, error):
    """A compensation."""


RULE = {LookupError: Decision.DEAD, KeyError: Decision.SKIP, Exception: Compensate(undo)}


@pytest.mark.parametrize(
    ("error", "choice"),
    [
        (KeyError(), Decision.SKIP),
        (IndexError(), Decision.DEAD),
        (ValueError(), Compensate(undo)),
        (Expired("late"), Compensate(undo)),
        (SystemExit(), Decision.RETRY),
        (Reject("no"), Decision.RETRY),  # which for Reject is: never
        (RetryLater("busy"), Decision.RETRY),
        (Skip("not ours"), Decision.SKIP),
    ],
)
def test_the_most_specific_class_of_a_dict_decides_and_what_the_handler_decided_stands(error, choice):
    assert decide(RULE, MESSAGE, error) == choice


@pytest.mark.parametrize("error", [ValueError(), Expired("late"), Reject("no")])
def test_without_a_rule_the_retry_policy_decides(error):
    assert decide(None, MESSAGE, error) is decide({}, MESSAGE, error) is Decision.RETRY


def test_a_dict_may_name_what_the_handler_decides():
    assert decide({Reject: Compensate(undo), Skip: Decision.DEAD}, MESSAGE, Reject("no")) == Compensate(undo)
    assert decide({Reject: Compensate(undo), Skip: Decision.DEAD}, MESSAGE, Skip("no")) is Decision.DEAD


def test_a_function_decides_by_the_message_and_the_error():
    asked = []

    def rule(message, error):
        asked.append((message, error))
        return Decision.DEAD if isinstance(error, KeyError) else None

    error = KeyError()
    assert decide(rule, MESSAGE, error) is Decision.DEAD
    assert decide(rule, MESSAGE, ValueError()) is Decision.RETRY
    assert asked[0] == (MESSAGE, error)


@pytest.mark.parametrize(("error", "choice"), [(Skip("no"), Decision.SKIP), (Reject("no"), Decision.RETRY)])
def test_a_function_is_not_asked_what_the_handler_has_decided(error, choice):
    assert decide(pytest.fail, MESSAGE, error) is choice


@pytest.mark.parametrize("answer", ["dead", True, undo, Compensate])
def test_an_answer_that_is_no_choice_is_a_mistake_that_says_so(answer):
    with pytest.raises(TypeError, match="neither a Decision nor Compensate"):
        decide(lambda message, error: answer, MESSAGE, ValueError())


@pytest.mark.parametrize("rule", [None, {}, RULE, undo, lambda message, error: None])
def test_a_rule_is_a_dict_or_a_function(rule):
    check_rule(rule)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("dead", "on_failure is a dict"),
        (Decision.DEAD, "on_failure is a dict"),
        (Compensate(undo), "on_failure is a dict"),
        ([KeyError], "on_failure is a dict"),
        (KeyError, "on_failure is a dict"),
        ({"KeyError": Decision.DEAD}, "on_failure names exception classes"),
        ({KeyError: "dead"}, r"on_failure\[KeyError\] is neither"),
        ({KeyError: undo}, r"on_failure\[KeyError\] is neither"),
        ({KeyError: None}, r"on_failure\[KeyError\] is neither"),
    ],
)
def test_anything_else_is_refused(rule, words):
    with pytest.raises(TypeError, match=words):
        check_rule(rule)


def test_a_compensation_is_a_function():
    with pytest.raises(TypeError, match="Compensate takes a function"):
        Compensate("undo")
