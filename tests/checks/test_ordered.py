import pytest
from django.core.checks import run_checks

from django_dlq import inbox
from tests.checks.found import found


def take(message):
    """Take a message."""


@pytest.mark.parametrize(("topic", "others_order", "expected"), [
    ("orders", False, ["W090"]),
    ("orders", True, []),
    ("parcels", False, []),
])  # fmt: skip
def test_of_handlers_that_share_a_topic_all_keep_the_order_or_none(registry, broker, topic, others_order, expected):
    inbox.handler("orders", group="shipping", tags=["paid"], ordered=True)(print)
    inbox.handler(topic, group="shipping", tags=["sold"], ordered=others_order)(take)

    assert found() == expected


def test_a_handler_of_another_group_may_do_as_it_likes(registry, broker):
    inbox.handler("orders", group="shipping", ordered=True)(print)
    inbox.handler("orders", group="mails")(take)

    assert found() == []


def test_it_says_which_handlers_and_which_topics(registry, broker):
    inbox.handler("orders", "parcels", group="shipping", tags=["paid"], ordered=True)(print)
    inbox.handler("orders", group="shipping", tags=["sold"])(take)

    (message,) = [each for each in run_checks(tags=["django_dlq"]) if each.id == "django_dlq.W090"]
    assert message.msg == (
        "builtins.print keeps the order of each key of orders, and tests.checks.test_ordered.take of the same group, "
        "'shipping', does not."
    )
