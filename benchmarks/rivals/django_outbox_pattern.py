"""django-outbox-pattern, which speaks STOMP only: a connection of ours hands what it sends to Kafka.

It asks for no receipt, so each message is produced without waiting; one flush at the end confirms them, after the rows
have been marked. That is more than its own protocol does, and less than confirmed delivery.
"""

from typing import Any

import confluent_kafka
import django
from django.conf import settings
from django.core.management import call_command

from benchmarks.bodies import body
from benchmarks.rivals import turn


class KafkaConnection:
    """What it takes for stomp.py's connection."""

    def __init__(self, **_: object) -> None:
        self._producer = confluent_kafka.Producer(
            {"bootstrap.servers": turn.KAFKA, "enable.idempotence": True, "linger.ms": 0, "log_level": 3}
        )
        self._connected = False

    def connect(self, **_: object) -> None:
        """Be connected; the client connects by itself."""
        self._connected = True

    def is_connected(self) -> bool:
        """Tell whether connect() was called."""
        return self._connected

    def disconnect(self) -> None:
        """Wait until everything is confirmed."""
        if left := self._producer.flush(30):
            raise RuntimeError(f"{left} messages unconfirmed")
        self._connected = False

    def send(self, *, body: str, destination: str, headers: Any = None) -> None:
        """Give one message to the client, without waiting."""
        self._producer.produce(destination, body.encode())
        self._producer.poll(0)

    def set_listener(self, *_: object) -> None:
        """Nobody listens."""


def main() -> None:
    """Run one turn."""
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django_outbox_pattern"],
        DATABASES=turn.DJANGO_DATABASES,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DJANGO_OUTBOX_PATTERN={
            "DEFAULT_CONNECTION_CLASS": "benchmarks.rivals.django_outbox_pattern.KafkaConnection",
            "DEFAULT_PRODUCER_WAITING_TIME": 0,
            "DEFAULT_PUBLISHED_CHUNK_SIZE": 500,
        },
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from django.db import transaction  # noqa: PLC0415  # needs Django set up
    from django_outbox_pattern.choices import StatusChoice  # noqa: PLC0415
    from django_outbox_pattern.factories import factory_producer  # noqa: PLC0415
    from django_outbox_pattern.models import Published  # noqa: PLC0415

    producer = factory_producer()

    def fill(numbers: range) -> None:
        with transaction.atomic():
            for number in numbers:
                Published.objects.create(destination=turn.TOPIC, body=body(number))

    def drain() -> None:
        while Published.objects.filter(status=StatusChoice.SCHEDULE).exists():
            producer.publish_message_from_database()

    turn.measure(fill, turn.settle_django, drain)
