"""A handler with a rate and a long backlog, beside another one of its group."""

import pytest
from django.core.management import call_command
from django.db import transaction

from django_dlq import inbox, outbox
from django_dlq.conf import conf
from django_dlq.consuming import pace
from tests.consuming.shipping import boxes, pack, run_until

pytestmark = pytest.mark.django_db(transaction=True)

SLOW, FREE = range(1000), range(1000, 1200)


def publish(topic, numbers):
    with transaction.atomic():
        outbox.publish_many(outbox.Message(topic, {}, message_key=str(number), key=str(number)) for number in numbers)
    call_command("dlq_relay", "--once")


def test_the_others_messages_go_on_and_the_backlog_stays_in_the_broker(dlq, member, group, settings):
    settings.DLQ_CONSUMER_BATCH = 20
    inbox.handler("mail", group=group)(pack)
    publish("orders", SLOW)
    publish("mail", FREE)
    slow = []
    consumer = member(slow.append, rate_limit="1/min")
    run_until(lambda: boxes() == list(FREE), consumer)
    assert len(slow) == 1
    partitions = len({record.place for record in dlq.broker.records("orders")})
    assert len(consumer._hand) <= partitions * conf.DLQ_CONSUMER_BATCH < len(SLOW)


def test_what_was_held_at_the_broker_comes_when_its_time_has_come(dlq, member, settings, monkeypatch):
    settings.DLQ_CONSUMER_BATCH = 5
    monkeypatch.setattr(pace, "SECONDS_IN_HAND", 0.05)
    publish("orders", range(30))
    consumer = member(pack, rate_limit="40/s")
    run_until(lambda: consumer._space._held, consumer)
    run_until(lambda: boxes() == list(range(30)), consumer)
