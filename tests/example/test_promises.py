"""The unattended demo must notice when a promise is broken."""

import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from django_dlq import outbox
from django_dlq.models import DeadLetter, Source, State
from django_dlq.testing.pytest_plugin import Dlq
from example_project.logistics_service import LogisticsServer
from example_project.promises import EXPIRED, UNREADABLE, Promises
from example_project.shop import bank, orders, payments
from example_project.shop.models import Box, Course, RedPacket

ORDERS = 5


@dataclass
class Sent:
    """A record in the topic, as far as a witness looks at it."""

    pairs: list[tuple[str, bytes]]

    def headers(self) -> list[tuple[str, bytes]]:
        return self.pairs


@dataclass
class FakeTopic:
    sent: list[Sent] = field(default_factory=list)

    def records(self) -> list[Sent]:
        return self.sent


@dataclass
class FakeStage:
    shipments: Path
    topic: FakeTopic = field(default_factory=FakeTopic)
    topic_name: str = orders.TOPIC


@pytest.fixture
def stage(shelves: None, dlq: Dlq, warehouse: LogisticsServer) -> FakeStage:
    """A small run in which every promise was kept."""
    stage = FakeStage(warehouse.warehouse.log)
    paid = [*orders.pay_many(ORDERS - 1), payments.charge(orders._made_up(Course.objects.get(slug="letters"), 0))]
    orders.publish_unreadable()
    orders.publish_expired()
    dlq.drain()
    again = orders.deliver_again(paid[:1])
    assert again == 1
    headers = [[(name, value.encode()) for name, value in message.headers.items()] for message in dlq.messages]
    sent = [pairs for pairs in headers if dict(pairs).get("dlq-tag") != b"offer"]
    stage.topic.sent = [Sent(pairs) for pairs in [*sent, sent[0]]]
    return stage


def promises(stage: Any) -> Promises:
    return Promises(stage, 0, orders_to_come=ORDERS, duplicates=1)


def test_a_run_that_kept_every_promise_has_nothing_to_say(stage: FakeStage) -> None:
    assert promises(stage).broken() == []
    assert str(promises(stage).figures()) == (
        "5 orders, 5 shipped exactly once, 5 red packets, 2 dead letters, 0 replayed, 0 lost"
    )


def test_a_payment_whose_order_is_not_paid_is_noticed(stage: FakeStage) -> None:
    bank.charge(uuid.uuid4(), Decimal(39))
    assert promises(stage).broken() == ["the bank has charged 1 payments whose orders are not paid"]


def test_a_half_message_that_nobody_decided_is_noticed(stage: FakeStage) -> None:
    outbox.prepare(orders.TOPIC, {}, checker=payments.CHECKER)
    assert promises(stage).broken() == ["1 half messages are not decided"]


def test_a_bank_that_was_never_asked_is_noticed(stage: FakeStage, ledger: Path) -> None:
    ledger.unlink()
    assert promises(stage).broken() == ["the bank has charged nobody"]


def test_an_order_without_a_box_or_a_letter_is_lost(stage: FakeStage) -> None:
    Box.objects.first().delete()
    assert any("not exactly one box" in text for text in promises(stage).broken())
    assert promises(stage).figures().lost == 1


def test_an_order_whose_letter_can_be_seen_is_not_lost(stage: FakeStage) -> None:
    box = Box.objects.select_related("order").first()
    letter = DeadLetter.objects.get(error_class=UNREADABLE)
    DeadLetter.objects.filter(pk=letter.pk).update(message_key=box.order.message_key)
    box.delete()
    assert promises(stage).figures().lost == 0


def test_a_red_packet_that_is_missing_is_noticed(stage: FakeStage) -> None:
    RedPacket.objects.first().delete()
    assert any("one red packet" in text for text in promises(stage).broken())


def test_a_box_that_was_shipped_twice_is_noticed(stage: FakeStage) -> None:
    first = stage.shipments.read_text().splitlines()[0]
    with stage.shipments.open("a") as log:
        log.write(first + "\n")
    assert any("has not shipped 1 orders exactly once" in text for text in promises(stage).broken())
    assert promises(stage).figures().shipped == ORDERS - 1


def test_a_box_that_nobody_ordered_is_noticed(stage: FakeStage) -> None:
    with stage.shipments.open("a") as log:
        log.write("2026-01-01T00:00:00+00:00 shipped 999\n")
    assert any("nobody ordered" in text for text in promises(stage).broken())


def test_a_message_that_is_not_in_the_topic_is_noticed(stage: FakeStage) -> None:
    stage.topic.sent = stage.topic.sent[1:-1]
    assert any("not in the topic" in text for text in promises(stage).broken())


def test_a_resend_with_another_id_is_noticed(stage: FakeStage) -> None:
    pairs = [(name, b"another" if name == "id" else value) for name, value in stage.topic.sent[-1].pairs]
    stage.topic.sent[-1] = Sent(pairs)
    assert any("sent again with another id" in text for text in promises(stage).broken())


def test_duplicates_that_were_not_delivered_are_noticed(stage: FakeStage) -> None:
    stage.topic.sent.pop()
    assert any("0 records more than messages; 1 were sent again" in text for text in promises(stage).broken())


def test_a_letter_that_nobody_settled_is_noticed(stage: FakeStage) -> None:
    letter = DeadLetter.objects.get(error_class=EXPIRED, source=Source.RELAY)
    DeadLetter.objects.filter(pk=letter.pk).update(error_class="ValueError", state=State.RETRYING)
    texts = promises(stage).broken()
    assert any("1 letters of boxes are not resolved" in text for text in texts)
    assert any("not exactly one dead letter" in text for text in texts)


def test_a_message_left_in_the_outbox_is_noticed(stage: FakeStage) -> None:
    orders.publish_unreadable()
    assert "1 messages are still in the outbox" in promises(stage).broken()
