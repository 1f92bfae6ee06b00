from datetime import timedelta

import pytest
from django.test import TestCase, override_settings

from django_dlq import inbox, outbox
from django_dlq.brokers import brokers
from django_dlq.exceptions import BrokerUnavailable, Reject
from django_dlq.models import DeadLetter, InboxMessage, OutboxMessage, RelayLane, State
from django_dlq.relay import Relay
from django_dlq.retry_policy import RetryPolicy
from django_dlq.testing import DrainError, drain
from tests import scripted_broker
from tests.shop.models import Box


def pack(message):
    Box.objects.create(order=message.message_key)


@pytest.fixture
def shop(dlq, registry):
    """Give the fixture of users, and no handlers but the test's own."""
    inbox.handler("orders", group="shipping")(pack)
    return dlq


def test_what_is_published_is_sent_and_handled(shop):
    outbox.publish("orders", {}, message_key="7")
    drained = shop.drain()

    assert (drained.relayed, drained.handled, drained.letters) == (1, 1, ())
    assert Box.objects.get().order == "7"
    assert not OutboxMessage.objects.exists()
    assert [record.topic for record in shop.broker.records("orders")] == ["orders"]


def test_with_nothing_to_do_nothing_is_done(shop):
    drained = shop.drain()

    assert (drained.relayed, drained.handled, drained.letters) == (0, 0, ())


def test_without_handlers_messages_are_sent(dlq, registry):
    outbox.publish("orders", {})

    assert (dlq.drain().relayed, InboxMessage.objects.count()) == (1, 0)


def test_a_message_is_handled_in_one_drain_only(shop):
    outbox.publish("orders", {})
    shop.drain()

    assert (shop.drain().handled, Box.objects.count()) == (0, 1)


def test_what_handlers_publish_is_drained_too_and_by_every_group(shop):
    inbox.handler("orders", group="billing")(lambda message: outbox.publish("bills", {}))
    inbox.handler("bills", group="mail")(test_what_handlers_publish_is_drained_too_and_by_every_group)
    seen = []
    inbox.handler("bills", group="audit")(seen.append)
    outbox.publish("orders", {})
    drained = shop.drain()

    assert (drained.relayed, drained.handled) == (2, 3)
    assert [message.topic for message in seen] == ["bills"]
    assert [letter.group for letter in drained.letters] == ["mail"]  # a test function takes no message


def test_a_message_that_is_not_due_stays(shop):
    outbox.publish("orders", {}, delay=timedelta(hours=1))

    assert shop.drain().relayed == 0
    assert OutboxMessage.objects.count() == 1


def failing(times, seen):
    def handle(message):
        seen.append(message.attempt)
        if len(seen) <= times:
            raise ZeroDivisionError

    return handle


def test_a_failure_waits_for_its_retry(dlq, registry):
    seen = []
    inbox.handler("orders", group="shipping")(failing(1, seen))
    outbox.publish("orders", {})
    (letter,) = dlq.drain().letters

    assert (letter.state, letter.attempts, seen) == (State.RETRYING, 1, [1])
    assert dlq.drain().letters == (letter,)


def test_retries_that_are_due_are_made(dlq, registry):
    seen = []
    inbox.handler("orders", group="shipping")(failing(1, seen))
    outbox.publish("orders", {})
    dlq.drain()
    DeadLetter.objects.update(next_attempt_at="2020-01-01T00:00:00Z")
    drained = dlq.drain()

    assert (drained.handled, drained.letters, seen) == (1, (), [1, 2])


def test_retries_need_not_be_waited_for(dlq, registry):
    seen = []
    inbox.handler("orders", group="shipping")(failing(16, seen))
    outbox.publish("orders", {})
    drained = dlq.drain(retries="now")

    assert (drained.handled, drained.letters, seen) == (1, (), list(range(1, 18)))


def test_retries_end_with_their_ladder(dlq, registry):
    seen = []
    inbox.handler("orders", group="shipping", retry=RetryPolicy(delays=[timedelta(1)] * 2))(failing(9, seen))
    outbox.publish("orders", {})
    (letter,) = dlq.drain(retries="now").letters

    assert (letter.state, seen) == (State.DEAD, [1, 2, 3])


def test_a_rejected_message_is_among_the_letters(dlq, registry):
    def reject(message):
        raise Reject("unknown order")

    inbox.handler("orders", group="shipping")(reject)
    outbox.publish("orders", {})
    (letter,) = dlq.drain().letters

    assert (letter.state, letter.error_message) == (State.DEAD, "unknown order")


def test_a_message_that_the_broker_refuses_is_among_the_letters(shop):
    shop.broker.refuse(lambda record: True)
    outbox.publish("orders", {})
    drained = shop.drain()

    assert (drained.relayed, drained.handled) == (1, 0)
    assert [letter.source for letter in drained.letters] == ["relay"]


def test_an_endless_conversation_is_an_error(dlq, registry):
    inbox.handler("orders", group="shipping")(lambda message: outbox.publish("orders", {}))
    outbox.publish("orders", {})

    with pytest.raises(DrainError, match="after 5 rounds"):
        dlq.drain(max_rounds=5)
    assert Relay().has_all_lanes()


def test_a_broker_that_is_down_is_an_error(shop):
    shop.broker.down()
    outbox.publish("orders", {})

    with pytest.raises(BrokerUnavailable, match="broker default"):
        shop.drain()
    shop.broker.up()
    assert shop.drain().handled == 1


def test_another_relay_is_an_error(shop):
    RelayLane.objects.free()
    RelayLane.objects.take("another", [0], timedelta(minutes=1))

    with pytest.raises(DrainError, match="another relay"):
        shop.drain()


def test_a_broker_that_carries_messages_out_of_the_process_is_an_error(dlq, monkeypatch):
    with override_settings(DLQ_BROKERS={"default": {"BACKEND": scripted_broker.PATH}}):
        monkeypatch.setattr(scripted_broker.ScriptedBroker, "is_durable", True)
        outbox.publish("orders", {})
        with pytest.raises(DrainError, match="ScriptedBroker"):
            drain()
        assert brokers["default"].sent == []


def test_the_lanes_are_given_back(shop):
    shop.drain()

    assert Relay().has_all_lanes()


def test_a_group_keeps_its_place_between_drains(shop):
    outbox.publish("orders", {}, message_key="1")
    shop.drain()
    InboxMessage.objects.all().delete()
    outbox.publish("orders", {}, message_key="2")
    shop.drain()

    assert [box.order for box in Box.objects.order_by("pk")] == ["1", "2"]


@pytest.mark.usefixtures("registry")
class TestInsideTestCase(TestCase):
    def test_a_transaction_that_never_commits_is_drained(self):
        inbox.handler("orders", group="shipping")(pack)
        outbox.publish("orders", {})

        self.assertEqual(drain().handled, 1)  # noqa: PT009  # as users write it
        brokers["default"].reset()
