"""What the hot paths say to the database: more statements are slower, however fast the machine that tests them."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_dlq import outbox
from django_dlq.consumer import settle
from django_dlq.message import ID, ReceivedMessage, Record
from django_dlq.models import OutboxMessage
from django_dlq.registry import Handler, Registry
from django_dlq.relay import Relay
from tests.scripted_broker import ScriptedBroker
from tests.shop.models import Box

pytestmark = pytest.mark.django_db(transaction=True)

RECORD = Record(topic="orders", body=b"{}", headers=((ID, b"m-1"),), partition=0, offset=0)
# PostgreSQL checks the lanes and completes a batch in one statement, which needs no BEGIN.
IS_POSTGRESQL = connection.vendor == "postgresql"
TO_HISTORY = ["WITH"] if IS_POSTGRESQL else ["BEGIN", "UPDATE", "SELECT", "INSERT", "DELETE", "COMMIT"]
AWAY = ["WITH"] if IS_POSTGRESQL else ["BEGIN", "UPDATE", "DELETE", "COMMIT"]
# There the inbox row comes with the transaction's BEGIN, which Django logs before.
CLAIM = "BEGIN;" if IS_POSTGRESQL else "INSERT"
# A page is read along the indexes, by some statements that go to the server as one.
READING = "SET" if IS_POSTGRESQL else "SELECT"

# SQLite takes so few parameters that Django has to part what is larger.
MANY = 50 if connection.vendor == "sqlite" else 500


def words(captured: CaptureQueriesContext) -> list[str]:
    """Return the first word of each statement, BEGIN and COMMIT too."""
    return [query["sql"].split()[0].upper() for query in captured.captured_queries]


def put_box(message: ReceivedMessage) -> None:
    Box.objects.create(order=message.message_id)


def fill(messages: int) -> None:
    with transaction.atomic():
        outbox.publish_many(outbox.Message("orders", {"n": n}, key=str(n)) for n in range(messages))


@pytest.fixture
def relay(broker: ScriptedBroker) -> Relay:
    """Give a relay that has its lanes, so that only the work itself is counted."""
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
    assert words(captured) == ["BEGIN", CLAIM, "INSERT", "COMMIT"]
    assert Box.objects.count() == 1


def test_a_duplicate_costs_one_insert_that_inserts_nothing(group: str) -> None:
    settle(group, RECORD)
    with CaptureQueriesContext(connection) as captured:
        settle(group, RECORD)
    assert words(captured) == ["BEGIN", CLAIM, "COMMIT"]
    assert Box.objects.count() == 1
