"""What happens behind a message that the broker refuses, where DLQ_HOLD_TOPICS says that its key waits for a person."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from django_dlq import deadletters, outbox
from django_dlq.brokers import brokers
from django_dlq.brokers.memory import MemoryBroker
from django_dlq.models import DeadLetter, OutboxMessage, State
from django_dlq.models.holds import MOST_NAMED
from django_dlq.relay import Relay

pytestmark = pytest.mark.django_db

WHO = {"actor": "ana", "reason": "somebody has looked at it"}


@pytest.fixture(autouse=True)
def broker(settings: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBroker]:
    """Give a broker that refuses bodies that begin with "bad", and relays that look around at each step."""
    settings.DLQ_HOLD_TOPICS = ["ledger"]  # type: ignore[attr-defined]
    monkeypatch.setattr("django_dlq.relaying.share.LONGEST_BEAT", 0.0)
    memory = brokers["default"]
    assert isinstance(memory, MemoryBroker)
    memory.refuse(lambda record: (record.body or b"").startswith(b"bad"))
    yield memory
    memory.reset()


@pytest.fixture(
    params=[
        "one relay",
        pytest.param("a new relay for each step", marks=pytest.mark.once),
        "too many keys to name",
    ]
)
def relay(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Give what sends all that can be sent: a hold lasts in memory, and across restarts."""
    if request.param == "too many keys to name":
        monkeypatch.setattr("django_dlq.models.holds.MOST_NAMED", 0)
    lasting = Relay()

    def run() -> None:
        relay = Relay() if request.param == "a new relay for each step" else lasting
        while relay.run_once():
            pass
        if relay is not lasting:
            relay.close()

    yield run
    lasting.close()


def publish(*bodies: str, key: str | None = "a", topic: str = "ledger", **options: object) -> None:
    for body in bodies:
        outbox.publish(topic, body, key=key, **options)  # type: ignore[arg-type]


def arrived(broker: MemoryBroker, topic: str = "ledger", key: bytes | None = b"a") -> list[str]:
    return [(record.body or b"").decode() for record in broker.records(topic) if record.key == key]


def waiting() -> list[str]:
    return [bytes(row.body or b"").decode() for row in OutboxMessage.objects.order_by("pk")]


def the_letter() -> DeadLetter:
    return DeadLetter.objects.holding().get()


def test_a_refused_message_holds_its_own_key_and_nobody_else(broker: MemoryBroker, relay: Callable[[], None]) -> None:
    publish("1", "bad", "2")
    publish("other key", key="A")
    publish("no key", "bad too", "no key either", key=None)
    publish("other topic", topic="orders")
    publish("3")
    relay()
    publish("4")
    publish("urgent", priority=9)
    publish("delayed", delay=timedelta(0))
    relay()

    assert arrived(broker) == ["1"]
    assert waiting() == ["2", "3", "4", "urgent", "delayed"]
    assert arrived(broker, key=b"A") == ["other key"]
    assert arrived(broker, key=None) == ["no key", "no key either"]
    assert arrived(broker, "orders") == ["other topic"]
    assert DeadLetter.objects.count() == 2
    assert the_letter().body_bytes == b"bad"


def test_a_replay_goes_first_and_then_what_waited_in_its_order(broker: MemoryBroker, relay: Callable[[], None]) -> None:
    publish("1", "bad", "2", "3")
    relay()
    deadletters.replay(the_letter(), **WHO)
    publish("4")
    relay()
    # It was refused again, so all of them still wait.
    assert (arrived(broker), waiting()) == (["1"], ["2", "3", "4"])
    assert (the_letter().state, the_letter().attempts) == (State.DEAD, 2)

    broker.refuse(lambda record: False)
    relay()
    assert arrived(broker) == ["1"]
    deadletters.replay(the_letter(), **WHO)
    relay()
    assert (arrived(broker), waiting()) == (["1", "bad", "2", "3", "4"], [])
    assert not DeadLetter.objects.open().exists()
    assert not DeadLetter.objects.holding().exists()


def test_what_waited_follows_at_once_and_not_at_the_next_look_around(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("bad", "2")
    with closing(Relay()) as relay:
        relay.run_once()
    broker.refuse(lambda record: False)
    deadletters.replay(the_letter(), **WHO)
    monkeypatch.setattr("django_dlq.relaying.share.LONGEST_BEAT", 3600.0)
    with closing(Relay()) as relay:
        assert [relay.run_once() for _ in range(3)] == [1, 1, 0]

    assert arrived(broker) == ["bad", "2"]


def test_a_replay_that_is_on_its_way_still_holds_the_key(broker: MemoryBroker, relay: Callable[[], None]) -> None:
    publish("bad", "2")
    relay()
    deadletters.replay(the_letter(), **WHO)
    broker.down()
    relay()
    assert sorted(waiting()) == ["2", "bad"]

    broker.up()
    broker.refuse(lambda record: False)
    OutboxMessage.objects.exclude(letter_id=None).delete()  # the replay is lost
    relay()
    assert (arrived(broker), the_letter().state) == ([], State.REPLAYING)


def test_an_edited_copy_goes_first(broker: MemoryBroker, relay: Callable[[], None]) -> None:
    publish("bad", "2")
    relay()
    copy = deadletters.edit(the_letter(), body="still bad", **WHO)
    assert the_letter() == copy
    broker.refuse(lambda record: b"bad" in (record.body or b""))
    relay()
    assert (arrived(broker), waiting()) == ([], ["2"])

    deadletters.edit(the_letter(), body="1", **WHO)
    relay()
    assert (arrived(broker), waiting()) == (["1", "2"], [])


def test_a_discard_lets_the_others_go_without_it(broker: MemoryBroker, relay: Callable[[], None]) -> None:
    publish("bad", "2", "bad 3", "4")
    relay()
    deadletters.discard(the_letter(), **WHO)
    relay()
    # The next one that is refused holds what comes after it.
    assert (arrived(broker), waiting()) == (["2"], ["4"])
    deadletters.discard(the_letter(), **WHO)
    relay()
    assert (arrived(broker), waiting()) == (["2", "4"], [])

    deadletters.restore(DeadLetter.objects.get(body=b"bad"), **WHO)
    publish("5")
    relay()
    assert waiting() == ["5"]


@pytest.mark.parametrize("most_named", [MOST_NAMED, 0])
def test_what_comes_after_the_release_of_a_key_does_not_overtake_what_waited(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch, most_named: int
) -> None:
    monkeypatch.setattr("django_dlq.models.holds.MOST_NAMED", most_named)
    publish("bad", "2")
    with closing(Relay()) as relay:
        while relay.run_once():
            pass
        monkeypatch.setattr("django_dlq.relaying.share.LONGEST_BEAT", 3600.0)
        relay.run_once()
        deadletters.discard(the_letter(), **WHO)
        publish("3")
        for _ in range(3):
            relay.run_once()
        assert arrived(broker) == []  # it has not looked around yet
    with closing(Relay()) as relay:
        relay.run_once()
    assert arrived(broker) == ["2", "3"]


def test_elsewhere_a_refused_message_is_a_letter_and_its_key_goes_on(
    broker: MemoryBroker, relay: Callable[[], None]
) -> None:
    publish("1", "bad", "2", topic="orders")
    relay()

    assert arrived(broker, "orders") == ["1", "2"]
    assert DeadLetter.objects.get().holds_key is False


def test_a_message_that_expired_holds_nobody(broker: MemoryBroker, relay: Callable[[], None]) -> None:
    publish("late", expires_in=timedelta(0))
    publish("2")
    relay()

    assert arrived(broker) == ["2"]
    assert DeadLetter.objects.get().holds_key is False
