from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_dlq.exceptions import Expired, HandlerConflict, Reject, UnreadableBody
from django_dlq.registry import Handler, Registry
from django_dlq.retry_policy import RetryPolicy

pytestmark = pytest.mark.once


def ship(message):
    """A handler."""


def pay(message):
    """Another handler."""


def handler(function=ship, *, topics=("orders",), group="shipping", tags=(), **rest):
    return Handler(function=function, topics=topics, group=group, tags=frozenset(tags), **rest)


def test_a_handler_is_named_by_its_dotted_path():
    class Shop:
        def __call__(self, message):
            """An object that is called."""

    assert handler().name == "tests.test_registry.ship"
    assert handler(Shop()).name.startswith("tests.test_registry.<")


def test_without_tags_a_handler_takes_every_message_of_its_topics():
    assert handler().takes("orders", "")
    assert handler().takes("orders", "paid")
    assert not handler().takes("Orders", "")


def test_with_tags_a_handler_takes_only_those():
    tagged = handler(tags=["paid", "sent"])

    assert tagged.takes("orders", "paid")
    assert tagged.takes("orders", "sent")
    assert not tagged.takes("orders", "")
    assert not tagged.takes("orders", "PAID")
    assert not tagged.takes("bills", "paid")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"topics": ("a", "b")}, {"topics": ("b", "c")}),
        ({"tags": ["paid"]}, {}),
        ({}, {"tags": ["paid"]}),
        ({"tags": ["paid", "sent"]}, {"tags": ["sent"]}),
    ],
)
def test_two_handlers_of_a_group_that_would_take_the_same_message_are_refused(one, other):
    registry = Registry()
    registry.add(handler(ship, **one))

    with pytest.raises(HandlerConflict, match=r"test_registry\.pay and .*test_registry\.ship"):
        registry.add(handler(pay, **other))
    assert [each.function for each in registry.handlers] == [ship]


def test_a_conflict_is_a_mistake_in_the_configuration():
    assert issubclass(HandlerConflict, ImproperlyConfigured)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"group": "shipping"}, {"group": "billing"}),
        ({"topics": ("a",)}, {"topics": ("b",)}),
        ({"tags": ["paid"]}, {"tags": ["sent"]}),
    ],
)
def test_handlers_that_share_no_message_live_side_by_side(one, other):
    registry = Registry()
    registry.add(handler(ship, **one))
    registry.add(handler(pay, **other))

    assert {each.function for each in registry.handlers} == {ship, pay}


def test_a_group_consumes_from_one_broker():
    registry = Registry()
    registry.add(handler(ship, topics=("a",)))

    with pytest.raises(HandlerConflict, match="two brokers"):
        registry.add(handler(pay, topics=("b",), broker="other"))
    registry.add(handler(pay, topics=("b",), group="billing", broker="other"))


def test_a_module_that_is_loaded_again_replaces_its_handlers():
    registry = Registry()
    registry.add(handler(ship))
    registry.add(handler(ship, tags=["paid"]))

    assert [each.tags for each in registry.handlers] == [frozenset({"paid"})]


def test_a_message_goes_to_the_handler_of_its_group_topic_and_tag():
    registry = Registry()
    registry.add(handler(ship, tags=["paid"]))
    registry.add(handler(pay, tags=["sent"]))
    registry.add(handler(test_a_message_goes_to_the_handler_of_its_group_topic_and_tag, group="all"))

    assert registry.match("shipping", "orders", "sent").function is pay
    assert registry.match("shipping", "orders", "") is None
    assert registry.match("nobody", "orders", "paid") is None
    assert registry.groups() == ["all", "shipping"]
    assert {each.function for each in registry.of_group("shipping")} == {ship, pay}


def test_the_projects_ladder_counts_where_a_handler_has_none(settings):
    assert handler().delay_after(16, ValueError()) == timedelta(hours=2)
    settings.DLQ_RETRY_DELAYS = [timedelta(seconds=5)]

    assert handler().delay_after(1, ValueError()) == timedelta(seconds=5)
    assert handler().delay_after(2, ValueError()) is None
    assert handler(retry=RetryPolicy(delays=[timedelta(1)])).delay_after(1, ValueError()) == timedelta(1)


def test_an_empty_ladder_of_the_project_means_no_retry(settings):
    settings.DLQ_RETRY_DELAYS = []

    assert handler().delay_after(1, ValueError()) is None


@pytest.mark.parametrize("error", [Expired("late"), UnreadableBody("not JSON"), Reject("no")])
def test_expiry_rejection_and_what_the_project_names_are_never_retried(error):
    assert handler(retry=RetryPolicy()).delay_after(1, error) is None


def test_the_project_names_what_is_never_retried(settings):
    settings.DLQ_NEVER_RETRY = ["builtins.LookupError"]

    assert handler().delay_after(1, KeyError("a")) is None
    assert handler().delay_after(1, UnreadableBody("a")) == timedelta(seconds=10)
