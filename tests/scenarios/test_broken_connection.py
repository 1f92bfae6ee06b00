"""The connection to the database breaks while the database itself is well: a failover, a proxy, an administrator."""

from contextlib import closing

import pytest
from django.db import connection, transaction

from django_dlq import inbox, outbox
from django_dlq.consumer import Consumer
from django_dlq.message import ReceivedMessage
from django_dlq.models import DeadLetter
from django_dlq.registry import Registry
from django_dlq.relay import Relay
from django_dlq.testing.pytest_plugin import Dlq
from tests.shop.models import Box

HANG_UP = {"postgresql": "SELECT pg_terminate_backend(pg_backend_pid())", "mysql": "KILL CONNECTION_ID()"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(transactional_db: None, dlq: Dlq, registry: Registry) -> "Shop":
    return Shop()


class Shop:
    """A handler that loses its connection as often as it is told to, and a message for it."""

    def __init__(self) -> None:
        self.hang_ups = 0
        inbox.handler("orders", group="shipping")(self.pack)
        self.consumer = Consumer("shipping")

    def pack(self, message: ReceivedMessage) -> None:
        Box.objects.create(order=message.json()["order"])
        if self.hang_ups:
            self.hang_ups -= 1
            self.hang_up()

    def hang_up(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(HANG_UP[connection.vendor])

    def consume_one(self) -> None:
        with transaction.atomic():
            outbox.publish("orders", {"order": "1"})
        with closing(Relay()) as relay:
            assert relay.run_once() == 1
        assert self.consumer.run_once() == 1


def test_a_connection_that_breaks_under_a_handler_costs_no_attempt(shop: Shop) -> None:
    shop.hang_ups = 1
    shop.consume_one()
    assert Box.objects.count() == 1
    assert not DeadLetter.objects.exists()


def test_a_handler_that_breaks_every_connection_makes_a_letter_and_does_not_stop_the_consumer(shop: Shop) -> None:
    shop.hang_ups = 2
    shop.consume_one()
    assert DeadLetter.objects.get().error_class == "django.db.utils.OperationalError"
    assert not Box.objects.exists()
    shop.consume_one()
    assert Box.objects.count() == 1
