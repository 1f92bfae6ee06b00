"""django-celery-outbox with Kombu's Kafka transport, which flushes each message."""

import logging

import django
import structlog
from django.conf import settings
from django.core.management import call_command

from benchmarks.bodies import body
from benchmarks.rivals import turn

BATCH = 500


def main() -> None:
    """Run one turn."""
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django_celery_outbox"],
        DATABASES=turn.DJANGO_DATABASES,
        USE_TZ=True,
        SECRET_KEY="for benchmarks only",
        CELERY_OUTBOX_APP="benchmarks.rivals.django_celery_outbox.app",
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    django.setup()
    call_command("migrate", verbosity=0)
    from django.db import transaction  # noqa: PLC0415  # needs Django set up
    from django_celery_outbox.app import OutboxCelery  # noqa: PLC0415
    from django_celery_outbox.models import CeleryOutbox  # noqa: PLC0415
    from django_celery_outbox.relay import Relay, RelayConfig  # noqa: PLC0415

    app = OutboxCelery("bench", broker=f"confluentkafka://{turn.KAFKA.partition(',')[0]}")
    producer = {"linger.ms": 0, "enable.idempotence": True, "log_level": 3}
    app.conf.update(
        task_default_queue=turn.TOPIC,
        broker_transport_options={"kafka_producer_config": producer},
        task_ignore_result=True,
    )
    app.task(len, name="bench.task")
    relay = Relay(app=app, config=RelayConfig.init(batch_size=BATCH, idle_time=0))

    def fill(numbers: range) -> None:
        with transaction.atomic():
            for number in numbers:
                app.send_task("bench.task", args=[body(number)])

    def drain() -> None:
        while CeleryOutbox.objects.exists():
            relay._processing()  # what its start() calls in a loop that ends with a signal only

    turn.measure(fill, turn.settle_django, drain)
