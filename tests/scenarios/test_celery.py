"""A project that runs the machines by Celery: a real worker, a real beat, and Kafka's protocol."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from django.core.management import call_command
from django.db import connection, transaction

from django_dlq import inbox, outbox
from django_dlq.models import DeadLetter, OutboxMessage, PublishedMessage, State
from django_dlq.registry import Registry
from django_dlq.testing.mock_kafka import MockKafka
from tests.scenarios import STUMBLES
from tests.scenarios.stage import SECONDS, Actor
from tests.scenarios.starting import spawn
from tests.services.process import wait_for
from tests.shop.models import Box

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[..., Actor]


@pytest.fixture
def topic() -> str:
    return f"orders-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def kafka_address(topic: str) -> Iterator[str]:
    """Give the real Kafka if there is one, else the cluster that librdkafka plays."""
    with ExitStack() as stack:
        address = os.environ.get("DLQ_TEST_KAFKA")
        if address:
            admin = AdminClient({"bootstrap.servers": address})
            admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(SECONDS)
        else:
            mock = stack.enter_context(MockKafka())
            mock.create_topic(topic, 1)
            address = mock.bootstrap
        yield address


@pytest.fixture
def start(kafka_address: str, topic: str, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a process of the Celery project, and end what it has started."""
    folder = tmp_path / "celery"
    folder.mkdir()
    database = {name: connection.settings_dict[name] for name in ("NAME", "USER", "HOST", "PORT")}
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.scenarios.settings",
        "SCENARIO_DATABASE": json.dumps(database, default=str),
        "SCENARIO_KAFKA": kafka_address,
        "SCENARIO_TOPIC": topic,
        "SCENARIO_GROUP": f"shipping-{topic}",
        "SCENARIO_LEASE": "5",
        "SCENARIO_CELERY": str(folder),
    }
    actors: list[Actor] = []

    def start(*command: str) -> Actor:
        log = tmp_path / f"{len(actors)}.log"
        process = spawn("celery", "--app", "tests.scenarios.celery_project", *command, environment=environment, log=log)
        actors.append(Actor(f"celery {command[0]}", process, log))
        return actors[-1]

    yield start
    for actor in reversed(actors):
        actor.stop()


def test_worker_and_beat_carry_a_message_from_publish_to_its_handler_through_a_retry(
    start: Start, topic: str, registry: Registry, tmp_path: Path
) -> None:
    inbox.handler(topic, group=f"shipping-{topic}")(print)  # as the worker's project has it
    call_command("dlq_schedule", relay_every=1, consume_every=5, retry_every=1)
    worker = start("worker", "--concurrency", "3", "--loglevel", "INFO", "--without-gossip", "--without-mingle")
    beat = start("beat", "--loglevel", "INFO", "--schedule", str(tmp_path / "beat"), "--pidfile", "")

    with transaction.atomic():
        outbox.publish(topic, {"order": "smooth"}, key="7", message_key="smooth")
        outbox.publish(topic, {"order": "bumpy"}, key="7", message_key="bumpy", tag=STUMBLES)

    handled = wait_for(lambda: Box.objects.count() == 2, seconds=2 * SECONDS)
    assert handled, f"it did not come to that\n{worker}\n{beat}"
    assert set(Box.objects.values_list("order", flat=True)) == {"smooth", "bumpy"}
    assert not OutboxMessage.objects.exists()
    assert set(PublishedMessage.objects.values_list("message_key", flat=True)) == {"smooth", "bumpy"}
    (letter,) = DeadLetter.objects.all()
    assert (letter.message_key, letter.state) == ("bumpy", State.RESOLVED)
