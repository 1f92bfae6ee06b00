"""django-reliable-outbox with its Kafka destination."""

import django
from django.conf import settings
from django.core.management import call_command

from benchmarks.bodies import body
from benchmarks.rivals import turn

CONFIG = {"bootstrap.servers": turn.KAFKA, "enable.idempotence": True, "linger.ms": 0, "log_level": 3}
DESTINATION = {
    "BACKEND": "reliable_outbox.destinations.kafka.KafkaDestination",
    "OPTIONS": {"topic": turn.TOPIC, "config": CONFIG},
}


def main() -> None:
    """Run one turn."""
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "reliable_outbox"],
        DATABASES=turn.DJANGO_DATABASES,
        USE_TZ=True,
        RELIABLE_OUTBOX={"DESTINATIONS": {"default": DESTINATION}, "BATCH_SIZE": 100, "NOTIFY": False},
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from django.db import transaction  # noqa: PLC0415  # needs Django set up
    from reliable_outbox.publishing import publish  # noqa: PLC0415
    from reliable_outbox.worker import Worker  # noqa: PLC0415

    def fill(numbers: range) -> None:
        with transaction.atomic():
            for number in numbers:
                publish("order.paid", body(number), key=turn.key(number))

    turn.measure(fill, turn.settle_django, lambda: Worker().run(burst=True))
