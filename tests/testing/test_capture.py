from contextlib import suppress

import pytest
from django.db import transaction
from django.test import TestCase

from django_dlq import deadletters, outbox
from django_dlq.models import DeadLetter, OutboxMessage
from django_dlq.outbox import Message
from django_dlq.relay import Relay
from django_dlq.testing import captured_messages

pytestmark = pytest.mark.django_db


def bodies(messages):
    return [message.body for message in messages]


def test_a_captured_message_is_as_a_handler_would_receive_it():
    with captured_messages() as messages:
        outbox.publish("orders", {"n": 1}, key="7", message_key="order-7", tag="paid", headers={"trace": "a"})

    (message,) = messages
    assert (message.topic, message.key, message.tag, message.message_key) == ("orders", "7", "paid", "order-7")
    assert message.json() == {"n": 1}
    assert message.headers["trace"] == "a"
    assert message.message_id == OutboxMessage.objects.get().message_id


def test_only_what_is_published_inside_the_block_is_captured_in_order():
    outbox.publish("orders", "before")
    with captured_messages() as messages:
        assert not messages
        outbox.publish("orders", "first")
        assert len(messages) == 1
        outbox.publish_many([Message("orders", "second"), Message("orders", "third")])
    outbox.publish("orders", "after")

    assert bodies(messages) == [b"first", b"second", b"third"]
    assert messages[-1].body == b"third"
    assert bodies(messages[:2]) == [b"first", b"second"]


def test_what_is_rolled_back_is_not_captured():
    with captured_messages() as messages:
        with suppress(ZeroDivisionError), transaction.atomic():
            outbox.publish("orders", "gone")
            assert len(messages) == 1
            raise ZeroDivisionError
        outbox.publish("orders", "kept")

    assert bodies(messages) == [b"kept"]


def test_what_has_been_sent_stays_captured_in_its_place(broker):
    with captured_messages() as messages:
        outbox.publish("orders", "first")
        Relay().run_once()
        outbox.publish("orders", "second", tag="paid")

    assert bodies(messages) == [b"first", b"second"]
    assert len(broker.sent) == 1


def test_what_was_sent_before_the_block_is_not_captured(broker):
    outbox.publish("orders", "before")
    relay = Relay()
    relay.run_once()
    with captured_messages() as messages:
        outbox.publish("orders", "inside")
    relay.run_once()

    assert bodies(messages) == [b"inside"]


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_replay_is_captured_with_the_group_it_is_for(broker, is_sent):
    letter = DeadLetter.objects.create(
        state="dead", source="consumer", topic="orders", message_id="1", message_key="1", group="shipping", body=b"x"
    )
    with captured_messages() as messages:
        deadletters.replay(letter, actor="a test")
        if is_sent:
            Relay().run_once()

    assert (messages[0].group, messages[0].message_id) == ("shipping", "1")
    assert messages[0].headers["dlq-letter"] == str(letter.pk)


def test_messages_are_filtered_by_what_identifies_them():
    with captured_messages() as messages:
        outbox.publish("orders", "1", key="7", tag="paid", message_key="a")
        outbox.publish("orders", "2", tag="sent")
        outbox.publish("bills", "3", key="7", tag="paid")

    assert bodies(messages.filter(topic="orders")) == [b"1", b"2"]
    assert bodies(messages.filter(topic="orders", tag="paid")) == [b"1"]
    assert bodies(messages.filter(key=None)) == [b"2"]
    assert bodies(messages.filter(message_key="a")) == [b"1"]
    assert bodies(messages.filter(message_id=messages[2].message_id)) == [b"3"]
    assert messages.filter(topic="other") == []


def test_an_unknown_filter_is_refused_even_where_nothing_was_published():
    with captured_messages() as messages, pytest.raises(TypeError, match="not by body, colour"):
        messages.filter(topic="orders", colour="red", body="1")


def test_a_failing_test_shows_what_was_published():
    with captured_messages() as messages:
        outbox.publish("orders", "grüße", message_key="order-7")

    assert repr(messages) == "<1 captured messages\n  orders order-7 b'gr\\xc3\\xbc\\xc3\\x9fe'>"


def test_an_exception_of_the_block_is_the_one_that_is_seen():
    def publish_and_fail():
        with captured_messages() as messages:
            outbox.publish("orders", "1")
            raise ZeroDivisionError(len(messages))

    with pytest.raises(ZeroDivisionError, match="1"):
        publish_and_fail()


class TestInsideTestCase(TestCase):
    def test_messages_of_a_transaction_that_never_commits_are_captured(self):
        with self.captureOnCommitCallbacks(execute=True), captured_messages() as messages:
            outbox.publish("orders", "1")
        self.assertEqual(len(messages), 1)  # noqa: PT009  # as users write it
