import pytest
from django.db import IntegrityError, transaction

from django_dlq.models import OutboxMessage, Pause, Pauses, Scope

pytestmark = pytest.mark.django_db


def pause(scope, **columns):
    row = Pause(scope=scope, reason="a test", actor_name="ana", **columns)
    row.digest = row.own_digest()
    row.save()
    return row


def message(topic, key=None, broker="default"):
    return OutboxMessage.objects.create(
        topic=topic, key=key, broker=broker, message_id=f"{topic}-{key}-{broker}", message_key="m"
    )


def test_what_is_paused_is_read_with_one_query_and_can_be_compared(django_assert_num_queries):
    assert Pause.objects.active() == Pauses()
    pause(Scope.TOPIC, topic="orders")
    pause(Scope.KEY, topic="payments", key="7")
    pause(Scope.KEY, topic="payments", key="")
    pause(Scope.BROKER, broker="default")

    with django_assert_num_queries(1):
        active = Pause.objects.active()
    assert active == Pauses(
        topics=frozenset({"orders"}),
        keys=frozenset({("payments", "7"), ("payments", "")}),
        brokers=frozenset({"default"}),
    )
    assert active == Pause.objects.active()
    Pause.objects.filter(scope=Scope.TOPIC).delete()
    assert active != Pause.objects.active()


@pytest.mark.parametrize(
    ("columns", "stopped"),
    [
        ({"scope": Scope.TOPIC, "topic": "orders"}, ["orders None", "orders a", "orders A", "orders a "]),
        ({"scope": Scope.KEY, "topic": "orders", "key": "a"}, ["orders a"]),
        ({"scope": Scope.BROKER, "broker": "other"}, ["payments a"]),
    ],
)
def test_a_pause_stops_exactly_what_it_names(columns, stopped):
    for topic, key in [("orders", None), ("orders", "a"), ("orders", "A"), ("orders", "a "), ("Orders", "a")]:
        message(topic, key)
    message("payments", "a", "other")

    rows = OutboxMessage.objects.filter(pause(**columns).stopped).order_by("pk")
    assert [f"{row.topic} {row.key}" for row in rows] == stopped


def test_a_thing_is_paused_once():
    pause(Scope.KEY, topic="a", key="b c")

    with pytest.raises(IntegrityError), transaction.atomic():
        pause(Scope.KEY, topic="a", key="b c")
    # Names cannot be shifted into one another.
    others = [
        (Scope.TOPIC, {"topic": "a"}),
        (Scope.KEY, {"topic": "a", "key": ""}),
        (Scope.KEY, {"topic": "a b", "key": "c"}),
        (Scope.KEY, {"topic": "a", "key": "B c"}),
        (Scope.BROKER, {"broker": "a"}),
    ]
    for scope, columns in others:
        pause(scope, **columns)


def test_a_pause_is_named_by_what_it_stops():
    assert str(Pause(scope="topic", topic="orders")) == "topic orders"
    assert str(Pause(scope="key", topic="orders", key="7")) == "key orders 7"
    assert str(Pause(scope="broker", broker="default")) == "broker default"
