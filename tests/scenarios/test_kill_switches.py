"""What is paused is not sent, everything else is, and afterwards it goes on in its order."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from django_dlq import deadletters, outbox, switches
from django_dlq.brokers import brokers
from django_dlq.models import OutboxMessage
from django_dlq.relay import Relay
from tests.letters import relay_letter

pytestmark = pytest.mark.django_db

MEMORY = {"BACKEND": "django_dlq.brokers.memory.MemoryBroker"}
WHO = {"actor": "ana", "reason": "wrong totals"}
PLACES = [
    ("orders", "a", "default"),
    ("orders", "b", "default"),
    ("payments", "a", "default"),
    ("events", "a", "other"),
]


@pytest.fixture(autouse=True)
def two_brokers() -> Iterator[None]:
    with override_settings(DLQ_BROKERS={"default": MEMORY, "other": MEMORY}):
        yield


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Give what sends all that can be sent, by one relay that looks around at each step."""
    monkeypatch.setattr("django_dlq.relaying.share.LONGEST_BEAT", 0.0)
    relay = Relay()

    def run() -> None:
        while relay.run_once():
            pass

    yield run
    relay.close()


def publish() -> None:
    """Publish 1 to 4 to each of four places."""
    for number in ("1", "2"):
        for topic, key, broker in PLACES:
            outbox.publish(topic, number, key=key, broker=broker)
    for topic, key, broker in PLACES:
        outbox.publish(topic, "3", key=key, broker=broker, delay=timedelta(0))
        outbox.publish(topic, "4", key=key, broker=broker, priority=9)


def arrived() -> dict[tuple[str, str, str], set[str]]:
    """Return the places where something has arrived, and what."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for alias in ("default", "other"):
        memory: Any = brokers[alias]
        for topic in ("orders", "payments", "events"):
            for record in memory.records(topic):
                found.setdefault((topic, record.key.decode(), alias), set()).add(record.body.decode())
    return found


@pytest.mark.parametrize(
    ("thing", "stopped"),
    [
        ({"topic": "orders"}, PLACES[:2]),
        ({"topic": "orders", "key": "a"}, PLACES[:1]),
        ({"broker": "other"}, PLACES[3:]),
    ],
)
def test_what_is_paused_waits_and_everything_else_is_sent(
    relay: Callable[[], None], thing: dict[str, str], stopped: list[tuple[str, str, str]]
) -> None:
    relay()  # it was running before
    switches.pause(**thing, **WHO)  # type: ignore[arg-type]
    publish()
    relay()

    everything = {"1", "2", "3", "4"}
    assert arrived() == {place: everything for place in PLACES if place not in stopped}
    assert OutboxMessage.objects.count() == 4 * len(stopped)

    switches.resume(**thing, **WHO)  # type: ignore[arg-type]
    relay()
    assert arrived() == dict.fromkeys(PLACES, everything)
    assert not OutboxMessage.objects.exists()


def test_what_waited_is_sent_in_its_order(relay: Callable[[], None]) -> None:
    switches.pause(topic="orders", key="a", **WHO)
    for number in range(5):
        outbox.publish("orders", str(number), key="a", priority=number % 2)
        relay()
    switches.resume(topic="orders", key="a", **WHO)
    relay()

    memory: Any = brokers["default"]
    assert [record.body.decode() for record in memory.records("orders")] == ["0", "1", "2", "3", "4"]


def test_a_replay_waits_too(relay: Callable[[], None]) -> None:
    letter = relay_letter(key="a", topic="orders")
    switches.pause(topic="orders", **WHO)
    deadletters.replay(letter, actor="ana")
    relay()
    assert OutboxMessage.objects.count() == 1

    switches.resume(topic="orders", **WHO)
    relay()
    letter.refresh_from_db()
    assert letter.state == "resolved"
