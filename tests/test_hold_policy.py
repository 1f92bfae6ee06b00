import pytest

from django_dlq.exceptions import Expired, MessageRefused
from django_dlq.fingerprint import class_path
from django_dlq.hold_policy import must_hold

pytestmark = pytest.mark.once

REFUSED, EXPIRED = class_path(MessageRefused()), class_path(Expired())


@pytest.mark.parametrize(
    ("topics", "topic", "holds"),
    [
        ((), "orders", False),
        (["orders"], "orders", True),
        (["orders"], "Orders", False),
        (["orders"], "orders.eu", False),
        (["payments", "orders.*"], "orders.eu", True),
        (["orders.*"], "orders", False),
        (["*"], "anything", True),
    ],
)
def test_the_topics_are_those_of_the_setting(settings, topics, topic, holds):
    settings.DLQ_HOLD_TOPICS = topics

    assert must_hold(topic, "7", error_class=REFUSED) is holds


def test_neither_a_message_without_a_key_nor_one_that_expired_holds_others(settings):
    settings.DLQ_HOLD_TOPICS = ["*"]

    assert must_hold("orders", "", error_class=REFUSED)
    assert not must_hold("orders", None, error_class=REFUSED)
    assert not must_hold("orders", "7", error_class=EXPIRED)
