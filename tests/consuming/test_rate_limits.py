"""A handler with a rate and a long backlog, beside another one of its group."""

import pytest
from django.core.management import call_command
from django.db import transaction

from django_dlq import consumer, inbox, outbox
from django_dlq.conf import conf
from django_dlq.consumer import Consumer
from django_dlq.consuming import pace
from tests.consuming.shipping import boxes, pack, run_until

pytestmark = pytest.mark.django_db(transaction=True)

GROUP = "shipping"
SLOW, FREE = range(300), range(300, 400)


@pytest.fixture
def consume(dlq, registry):
    """Consume, not as tests do but as a process does, what the group's handlers take."""
    members = []

    def make():
        members.append(Consumer(GROUP))
        return members[-1]

    yield make
    for member in members:
        member.close()


def publish(topic, numbers):
    with transaction.atomic():
        outbox.publish_many(outbox.Message(topic, {}, message_key=str(number), key=str(number)) for number in numbers)
    call_command("dlq_relay", "--once")


def test_the_others_messages_go_on_and_the_backlog_stays_in_the_broker(dlq, consume, settings):
    settings.DLQ_CONSUMER_BATCH = 20
    slow = []
    inbox.handler("orders", group=GROUP, rate_limit="1/min")(slow.append)
    inbox.handler("mail", group=GROUP)(pack)
    publish("orders", SLOW)
    publish("mail", FREE)
    member = consume()
    run_until(lambda: boxes() == list(FREE), member)
    assert len(slow) == 1
    partitions = len({record.place for record in dlq.broker.records("orders")})
    assert len(member._hand) <= partitions * conf.DLQ_CONSUMER_BATCH < len(SLOW)


def test_what_was_held_at_the_broker_comes_when_its_time_has_come(consume, settings, monkeypatch):
    settings.DLQ_CONSUMER_BATCH = 5
    monkeypatch.setattr(pace, "SECONDS_IN_HAND", 0.02)
    monkeypatch.setattr(consumer, "SECONDS_BETWEEN_COMMITS", 0.02)
    inbox.handler("orders", group=GROUP, rate_limit="40/s")(pack)
    publish("orders", range(30))
    member = consume()
    run_until(lambda: member._space._held, member)
    run_until(lambda: boxes() == list(range(30)), member)
