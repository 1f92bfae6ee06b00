"""What the hot paths say to the database: more statements are slower, however fast the machine that tests them."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_dlq import burial, outbox, parking
from django_dlq.consumer import delivery_of, settle, settle_work
from django_dlq.fingerprint import Failure
from django_dlq.message import ID, ReceivedMessage, Record
from django_dlq.models import DeadLetter, OutboxMessage, State
from django_dlq.registry import Handler, Registry
from django_dlq.relay import Relay
from django_dlq.relaying import share
from django_dlq.retries import Retries
from tests.consuming.clock import Clock
from tests.scripted_broker import ScriptedBroker
from tests.shop.models import Box

pytestmark = pytest.mark.django_db(transaction=True)

RECORD = Record(topic="orders", body=b"{}", headers=((ID, b"m-1"),), partition=0, offset=0)
# PostgreSQL checks the lanes and completes a batch in one statement, which needs no BEGIN.
IS_POSTGRESQL = connection.vendor == "postgresql"
LOCK_LANES = "SELECT" if connection.features.has_select_for_update else "UPDATE"
TO_HISTORY = ["WITH"] if IS_POSTGRESQL else ["BEGIN", LOCK_LANES, "SELECT", "INSERT", "DELETE", "COMMIT"]
AWAY = ["WITH"] if IS_POSTGRESQL else ["BEGIN", LOCK_LANES, "DELETE", "COMMIT"]
# A page is read along the indexes, by some statements that go to the server as one.
READING = "SET" if IS_POSTGRESQL else "SELECT"

# SQLite takes so few parameters that Django has to part what is larger.
MANY = 50 if connection.vendor == "sqlite" else 500


def words(captured: CaptureQueriesContext) -> list[str]:
    """Return the first word of each statement, BEGIN and COMMIT too."""
    return [query["sql"].split()[0].upper() for query in captured.captured_queries]


def put_box(message: ReceivedMessage) -> None:
    Box.objects.create(order=message.message_id)


def put_boxes(messages: list[ReceivedMessage]) -> None:
    Box.objects.bulk_create(Box(order=message.message_id) for message in messages)


def fill(messages: int) -> None:
    with transaction.atomic():
        outbox.publish_many(outbox.Message("orders", {"n": n}, key=str(n)) for n in range(messages))


@pytest.fixture
def relay(broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch) -> Relay:
    """Give a relay that has its lanes, and need not renew them, so that only the work itself is counted."""
    monkeypatch.setattr(share, "time", Clock())
    relay = Relay()
    assert relay.has_all_lanes()
    return relay


@pytest.fixture
def group(registry: Registry) -> str:
    registry.add(Handler(function=put_box, topics=("orders",), group="shipping"))
    return "shipping"


def test_a_publish_is_one_insert() -> None:
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        outbox.publish("orders", {"n": 1}, key="1", headers={"trace": "t"})
    assert words(captured) == ["INSERT"]


def test_many_messages_are_written_at_once() -> None:
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        outbox.publish_many(outbox.Message("orders", {"n": n}) for n in range(MANY))
    assert words(captured) == (["SELECT", "COPY"] if IS_POSTGRESQL else ["INSERT"])


@pytest.mark.parametrize("messages", [1, MANY])
def test_a_relayed_batch_costs_the_same_statements_whatever_its_size(relay: Relay, messages: int) -> None:
    fill(messages)
    with CaptureQueriesContext(connection) as captured:
        assert relay.run_once() == messages
    assert words(captured) == [READING, *TO_HISTORY]


@override_settings(DLQ_PUBLISHED_RETENTION=timedelta(0))
def test_without_history_a_batch_is_only_deleted(relay: Relay) -> None:
    fill(MANY)
    with CaptureQueriesContext(connection) as captured:
        assert relay.run_once() == MANY
    assert words(captured) == [READING, *AWAY]
    assert not OutboxMessage.objects.exists()


def test_an_idle_relay_only_looks(relay: Relay) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert relay.run_once() == 0
    assert words(captured) == [READING]


def test_a_handled_message_costs_its_inbox_row_and_what_the_handler_does(group: str) -> None:
    with CaptureQueriesContext(connection) as captured:
        settle(group, RECORD)
    assert words(captured) == ["BEGIN", "INSERT", "INSERT", "COMMIT"]
    assert Box.objects.count() == 1


def test_the_order_of_a_key_costs_no_statement_while_nothing_has_failed(registry: Registry) -> None:
    registry.add(Handler(function=put_box, topics=("orders",), group="shipping", ordered=True))
    with CaptureQueriesContext(connection) as captured:
        settle("shipping", RECORD._replace(key=b"A-17"))
    assert words(captured) == ["BEGIN", "INSERT", "INSERT", "COMMIT"]
    assert Box.objects.count() == 1


def test_what_was_parked_costs_its_claim_its_handling_and_the_release_of_the_next(registry: Registry) -> None:
    registry.add(Handler(function=put_box, topics=("orders",), group="shipping", ordered=True))
    for number in range(3):
        message = ReceivedMessage.of(RECORD._replace(key=b"A", headers=((ID, b"%d" % number),)), "shipping")
        (handler,) = registry.handlers
        if number:
            assert parking.handle_in_turn(message, handler, put_box) == "parked"
        else:
            burial.bury_received(message, Failure.of(OSError(), "shipping"), handler=handler, delay=timedelta(0))
    machine = Retries("shipping")
    assert machine._attempt_next()
    with CaptureQueriesContext(connection) as captured:
        assert machine._attempt_next()
    claim, handle, settle_it = ["BEGIN", "SELECT", "UPDATE", "COMMIT"], ["INSERT", "INSERT"], ["UPDATE", "INSERT"]
    release = ["SELECT", "SELECT", "UPDATE", "INSERT"]
    own = ["BEGIN", "SELECT", "SAVEPOINT", *handle, "RELEASE", *settle_it, *release, "COMMIT"]
    assert words(captured) == claim + own


def test_the_order_of_keys_costs_a_batch_one_query(registry: Registry) -> None:
    counts = []
    for ordered in (False, True):
        registry.handlers = []
        registry.add(
            Handler(function=put_boxes, topics=("orders",), group=f"g-{ordered}", ordered=ordered, batch_size=10)
        )
        records = [RECORD._replace(key=b"A-17", headers=((ID, b"m-%d" % number),)) for number in range(10)]
        with CaptureQueriesContext(connection) as captured:
            settle_work([delivery_of(record, f"g-{ordered}") for record in records])
        counts.append(words(captured))
    assert counts[1] == ["SELECT", *counts[0]]
    assert Box.objects.count() == 20


def test_a_parked_message_costs_as_many_statements_however_many_are_parked(registry: Registry) -> None:
    registry.add(Handler(function=put_box, topics=("orders",), group="shipping", ordered=True))
    first = ReceivedMessage.of(RECORD._replace(key=b"A-17"), "shipping")
    burial.bury_received(first, Failure.of(OSError(), "", ""), handler=registry.handlers[0], delay=timedelta(hours=1))
    counts = []
    for number in range(2, 5):
        with CaptureQueriesContext(connection) as captured:
            settle("shipping", RECORD._replace(key=b"A-17", headers=((ID, b"m-%d" % number),)))
        counts.append(len(captured))
    assert counts[0] == counts[1] == counts[2]
    assert DeadLetter.objects.filter(state=State.PARKED).count() == 3


def test_a_duplicate_costs_one_insert_that_inserts_nothing(group: str) -> None:
    settle(group, RECORD)
    with CaptureQueriesContext(connection) as captured:
        settle(group, RECORD)
    assert words(captured) == ["BEGIN", "INSERT", "COMMIT"]
    assert Box.objects.count() == 1
