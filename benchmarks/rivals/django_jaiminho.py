"""django-jaiminho, which calls a function later: ours sends one message and waits until it is confirmed."""

import json
import logging
from functools import cache
from typing import Any

import confluent_kafka
import django
from django.conf import settings
from django.core.management import call_command

from benchmarks.bodies import body
from benchmarks.rivals import turn


@cache
def producer() -> confluent_kafka.Producer:
    """Return the one client of this process."""
    return confluent_kafka.Producer(
        {"bootstrap.servers": turn.KAFKA, "enable.idempotence": True, "linger.ms": 0, "log_level": 3}
    )


def send(key: str, content: dict[str, Any]) -> None:
    """Send one message, and raise unless it is confirmed."""
    refused: list[object] = []
    producer().produce(
        turn.TOPIC, json.dumps(content).encode(), key, on_delivery=lambda error, _: error and refused.append(error)
    )
    if producer().flush(10) or refused:
        raise RuntimeError(f"not confirmed: {refused}")


def main() -> None:
    """Run one turn."""
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "jaiminho"],
        DATABASES=turn.DJANGO_DATABASES,
        USE_TZ=True,
        SECRET_KEY="for benchmarks only",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        JAIMINHO_CONFIG={"PUBLISH_STRATEGY": "keep-order", "DELETE_AFTER_SEND": True},
    )
    logging.getLogger("jaiminho").setLevel(logging.ERROR)
    django.setup()
    call_command("migrate", verbosity=0)
    from django.db import transaction  # noqa: PLC0415  # needs Django set up
    from jaiminho.models import Event  # noqa: PLC0415
    from jaiminho.relayer import EventRelayer  # noqa: PLC0415
    from jaiminho.send import save_to_outbox  # noqa: PLC0415

    publish = save_to_outbox(send)

    def fill(numbers: range) -> None:
        with transaction.atomic():
            for number in numbers:
                publish(turn.key(number), body(number))

    def drain() -> None:
        while Event.objects.filter(sent_at=None).exists():
            EventRelayer().relay()

    turn.measure(fill, turn.settle_django, drain)
