"""The promises of this app, on every database and every broker; each test's name is one."""

from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, transaction
from django.test import override_settings

from django_dlq import deadletters, inbox, outbox, signals
from django_dlq.brokers import brokers
from django_dlq.models import DeadLetter, InboxMessage, OutboxMessage, RelayLane, RelayProcess, State
from django_dlq.models.outbox_message import OutboxQuerySet
from django_dlq.registry import Registry
from django_dlq.relay import Relay
from django_dlq.retries import Retries
from django_dlq.testing.mock_kafka import MockKafka
from tests.scenarios.world import World, id_of, once_each, order_of, until

pytestmark = pytest.mark.django_db(transaction=True)

KAFKA = "django_dlq.brokers.kafka.KafkaBroker"
MEMORY = {"BACKEND": "django_dlq.brokers.memory.MemoryBroker"}


class Oops(Exception):
    """Something that an application raises."""


@pytest.fixture(scope="module")
def mock_kafka() -> Iterator[MockKafka]:
    with MockKafka() as mock:
        yield mock


@pytest.fixture(params=["memory", "mock-kafka", pytest.param("kafka", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest, registry: Registry) -> Iterator[World]:
    mock = request.getfixturevalue("mock_kafka") if request.param == "mock-kafka" else None
    if mock is not None:
        broker = {"BACKEND": KAFKA, "OPTIONS": mock.options}
    elif request.param == "kafka":
        broker = {"BACKEND": KAFKA, "OPTIONS": {"bootstrap.servers": request.getfixturevalue("kafka")}}
    else:
        broker = MEMORY
    with override_settings(DLQ_BROKERS={"default": broker}, DLQ_RETRY_DELAYS=[timedelta(microseconds=1)] * 2):
        yield World(mock or brokers["default"])
        brokers["default"].close()


def test_what_commits_is_published_at_least_once_with_the_same_id_on_every_resend(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("the database is gone, just after the broker has confirmed")

    world.publish("1", "2", "3")
    with closing(Relay()) as relay, monkeypatch.context() as patches:
        patches.setattr(OutboxQuerySet, "complete", fail)
        with pytest.raises(OperationalError):
            relay.run_once()

    records = world.arrived()
    assert [order_of(record) for record in records] == ["1", "2", "3"] * 2
    assert [id_of(record) for record in records[:3]] == [id_of(record) for record in records[3:]]
    assert len({id_of(record) for record in records}) == 3


def test_what_rolls_back_is_never_published(world: World) -> None:
    with suppress(Oops), transaction.atomic():
        world.publish("rolled back")
        raise Oops
    with suppress(Oops), transaction.atomic():
        with transaction.atomic():
            world.publish("rolled back, though the inner block went well")
        raise Oops
    with transaction.atomic():
        world.publish("1")
        with suppress(Oops), transaction.atomic():
            world.publish("rolled back to a savepoint")
            raise Oops
        with transaction.atomic():
            world.publish("2")
        savepoint = transaction.savepoint()
        world.publish("rolled back by hand")
        transaction.savepoint_rollback(savepoint)
        world.publish("3")
    with transaction.atomic():
        world.publish("rolled back without an exception")
        transaction.set_rollback(True)

    assert [order_of(record) for record in world.arrived()] == ["1", "2", "3"]


def test_messages_of_one_key_arrive_in_order_through_failures_outages_and_changing_relays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ["a", "b", "c"]
    for number in range(30):
        world.publish(f"{keys[number % 3]}{number}", key=keys[number % 3], priority=number % 2)
    monkeypatch.setattr("django_dlq.conf.Settings.DLQ_RELAY_BATCH", 5)
    with closing(Relay()) as first, closing(Relay()) as second, closing(Relay()) as heir:
        assert first.run_once() > 0
        assert second.run_once() == 0  # the first has the lanes
        RelayLane.objects.update(leased_until=None)  # whose leases run out
        RelayProcess.objects.all().delete()
        assert heir.run_once() > 0
        assert OutboxMessage.objects.exists()
        assert first.run_once() == 0  # it has sent without knowing, but it cannot mark

    orders = once_each(world.arrived(*keys))
    assert {key: [order for order in orders if order[0] == key] for key in keys} == {
        key: [f"{key}{number}" for number in range(30) if keys[number % 3] == key] for key in keys
    }


def test_effects_happen_once_per_group_and_message_key_whatever_is_delivered_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_group(f"{world.group}-2")
    world.publish("1", "2")
    world.publish("1", message_key="1")  # the publisher says it twice, so with another id
    world.relay()

    # The offsets are lost, so all of it is delivered again.
    with monkeypatch.context() as patches:
        patches.setattr("django_dlq.consumer.Consumer._commit", lambda *_: None)
        world.consume(settled=3)
    world.consume(settled=3)
    world.consume(settled=3, group=f"{world.group}-2")

    assert world.packed() == world.packed(f"{world.group}-2") == ["1", "2"]
    assert InboxMessage.objects.count() == 4


def test_no_message_is_dropped_silently(world: World) -> None:
    world.failing = {"fails": Oops(), "is rejected": inbox.Reject("no such product")}
    world.publish("good", "fails", "is rejected")
    world.publish("expires", expires_in=timedelta(0))
    world.relay()
    world.consume(settled=3)
    until(lambda: not DeadLetter.objects.filter(state=State.RETRYING).exists(), meanwhile=Retries().run_once)

    assert world.packed() == ["good"]
    letters = DeadLetter.objects.values_list("message_key", "state", "source", "attempts")
    assert set(letters) == {
        ("fails", State.DEAD, "consumer", 3),
        ("is rejected", State.DEAD, "consumer", 1),
        ("expires", State.DEAD, "relay", 1),
    }


@pytest.mark.parametrize("world", ["memory", pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)
def test_a_message_that_the_broker_refuses_is_a_letter_and_holds_nobody_up(world: World) -> None:
    world.publish("1")
    with transaction.atomic():
        outbox.publish("no / topic", {"order": "refused"}, key="k")
    world.publish("2")
    world.relay()

    assert [order_of(record) for record in world.arrived()] == ["1", "2"]
    assert DeadLetter.objects.get().topic == "no / topic"


@pytest.mark.parametrize("world", ["memory", "mock-kafka"], indirect=True)
def test_an_outage_of_the_broker_costs_time_and_neither_attempts_nor_messages(world: World) -> None:
    world.publish("1", "2")
    world.outage.down()
    with closing(Relay()) as relay, override_settings(DLQ_PUBLISH_TIMEOUT=timedelta(seconds=0.5)):
        failures: list[Exception] = []
        signals.broker_unavailable.connect(count := lambda error, **_: failures.append(error))
        until(lambda: len(failures) > 2, meanwhile=relay.run_once)
        signals.broker_unavailable.disconnect(count)
    assert OutboxMessage.objects.count() == 2
    assert not DeadLetter.objects.exists()

    world.outage.up()
    world.relay()
    world.consume(settled=2)
    assert world.packed() == ["1", "2"]
    assert not DeadLetter.objects.exists()


def test_nothing_a_person_does_to_a_letter_is_lost_and_every_act_has_a_name_on_it(world: World) -> None:
    ann, ben = User.objects.create(username="ann"), User.objects.create(username="ben")
    world.failing = {"1": inbox.Reject("no such product")}
    world.publish("1")
    world.relay()
    world.consume(settled=1)
    letter = DeadLetter.objects.get()
    deadletters.discard(letter, actor=ann, reason="a test order")
    deadletters.restore(letter, actor=ben, reason="it was not")
    deadletters.replay(letter, actor=ben)
    world.relay()
    world.consume(settled=1)
    letter.refresh_from_db()
    copy = deadletters.edit(letter, actor=ann, reason="the product's new number", body={"order": "2"})
    world.relay()
    world.consume(settled=1)
    ann.delete()

    assert world.packed() == ["2"]
    assert timeline(letter) == [
        ("failed", "consumer", ""),
        ("discarded", "ann", "a test order"),
        ("restored", "ben", "it was not"),
        ("replayed", "ben", ""),
        ("failed", "consumer", ""),
        ("edited", "ann", "the product's new number"),
    ]
    assert timeline(copy) == [("edited", "ann", "the product's new number"), ("resolved", "consumer", "")]
    assert letter.body_bytes == b'{"order":"1"}'


def timeline(letter: DeadLetter) -> list[tuple[str, str, str]]:
    """Return what happened to a letter, by whom, and why."""
    return list(letter.events.values_list("kind", "actor_name", "reason"))
