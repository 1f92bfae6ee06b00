from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.db.models import Q

from django_dlq import deadletters, outbox_pruning
from django_dlq.debezium import slot_name
from django_dlq.models import OutboxMessage, State, in_future
from django_dlq.models.replication_slot import slots_in_order
from django_dlq.outbox_pruning import prune_outbox
from django_dlq.retention import Retention
from tests.letters import consumer_letter, relay_letter, timeline
from tests.slots import SHARING

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def slots(settings, monkeypatch):
    """Have the connector of one broker in order, without a server of the test's own: scenarios have the real one."""
    settings.DLQ_OUTBOX_RETENTION = 3 * DAY
    ages = {slot_name(connection.settings_dict["NAME"], "default"): 0}
    monkeypatch.setattr(outbox_pruning, "slots_in_order", lambda using: ages)
    monkeypatch.setattr(outbox_pruning, "is_read", lambda age: Q(pk__gt=age))
    return ages


def written(days, **columns):
    return OutboxMessage.objects.create(topic="orders", created_at=in_future(-days * DAY), **columns)


def age(row, days):
    OutboxMessage.objects.filter(pk=row.pk).update(created_at=in_future(-days * DAY))


def test_rows_older_than_the_retention_go_and_the_others_stay(slots):
    written(4)
    young = written(2)

    assert Retention().run_once() == 1
    assert OutboxMessage.objects.get() == young


def test_the_oldest_go_first_and_in_steps(slots):
    rows = [written(4) for _ in range(5)]

    assert prune_outbox(2) == 2
    assert list(OutboxMessage.objects.order_by("pk")) == rows[2:]
    assert [prune_outbox(2) for _ in range(3)] == [2, 1, 0]


def test_a_step_looks_at_no_more_rows_than_it_may_delete(slots):
    written(2)
    written(4)

    assert prune_outbox(1) == 0


def test_nothing_goes_where_the_relay_sends(slots, settings):
    settings.DLQ_OUTBOX_RETENTION = None
    written(4)

    assert prune_outbox(10) == 0


def test_nothing_goes_while_nobody_reads_the_log(slots):
    slots.clear()
    written(4)

    assert prune_outbox(10) == 0
    assert OutboxMessage.objects.exists()


def test_what_the_connector_has_not_confirmed_stays_however_old(slots):
    unread = written(9)
    slots[next(iter(slots))] = unread.pk
    written(4)

    assert prune_outbox(10) == 1
    assert OutboxMessage.objects.get() == unread


def test_only_rows_of_brokers_whose_connectors_are_in_order_go(slots, settings):
    settings.DLQ_BROKERS = {"default": {}, "east": {}}
    written(4)
    kept = written(4, broker="east")

    assert prune_outbox(10) == 1
    assert OutboxMessage.objects.get() == kept


def test_what_one_connector_has_sent_says_nothing_about_another_broker_of_a_like_name(slots, settings):
    settings.DLQ_BROKERS = {"eu-1": {}, "eu_1": {}}
    slots.clear()
    slots[slot_name(connection.settings_dict["NAME"], "eu-1")] = 0
    written(4, broker="eu-1")
    kept = written(4, broker="eu_1")

    assert prune_outbox(10) == 1
    assert OutboxMessage.objects.get() == kept


def test_nothing_of_brokers_that_share_a_slot_goes(slots, settings, monkeypatch):
    settings.DLQ_BROKERS = dict.fromkeys(SHARING)
    shop = SimpleNamespace(settings_dict={"NAME": "shop"})
    monkeypatch.setattr(outbox_pruning, "connections", {"default": shop})
    slots[slot_name("shop", SHARING[0])] = 0
    for broker in SHARING:
        written(4, broker=broker)

    assert prune_outbox(10) == 0
    assert OutboxMessage.objects.count() == 2


def test_a_replay_of_a_message_that_could_not_be_sent_is_resolved_when_its_row_goes(slots):
    letter = relay_letter()
    age(deadletters.replay(letter, actor="ada"), 4)

    assert prune_outbox(10) == 1
    letter.refresh_from_db()
    assert letter.state == State.RESOLVED
    assert timeline(letter)[-1] == ("resolved", "relay")


def test_a_replay_for_a_group_waits_for_its_handler_all_the_same(slots):
    letter = consumer_letter()
    age(deadletters.replay(letter, actor="ada"), 4)

    assert prune_outbox(10) == 1
    letter.refresh_from_db()
    assert letter.state == State.REPLAYING


def test_a_database_without_a_connector_has_no_slot():
    names = slots_in_order("default")

    assert slot_name(connection.settings_dict["NAME"], "default") not in names
