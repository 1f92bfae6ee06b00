import pytest

from django_dlq import outbox
from django_dlq.models import OutboxMessage
from django_dlq.models.outbox_reading import Scope, read_again
from django_dlq.models.resting import NOTHING_RESTS, Resting

pytestmark = pytest.mark.django_db

TWO = {alias: {"BACKEND": "django_dlq.brokers.memory.MemoryBroker"} for alias in ("default", "other")}


@pytest.fixture
def rows(settings: object) -> dict[str, int]:
    """Return the ids of one message for each broker, topic and key."""
    settings.DLQ_BROKERS = TWO  # type: ignore[attr-defined]
    return {
        f"{broker} {topic} {key}": outbox.publish(topic, "x", key=key, broker=broker).pk
        for broker in ("default", "other")
        for topic in ("orders", "bills")
        for key in ("a", "A", None)
    }


@pytest.mark.parametrize(
    ("resting", "rest"),
    [
        (NOTHING_RESTS, ()),
        (Resting(topics=frozenset({("default", "orders")})), ("default orders",)),
        (Resting(keys=frozenset({("default", "orders", "a")})), ("default orders a",)),
        (Resting(keys=frozenset({("default", "orders", None)})), ("default orders None",)),
        (
            Resting(
                topics=frozenset({("other", "bills")}),
                keys=frozenset({("default", "orders", None), ("default", "bills", "A"), ("other", "orders", "a")}),
            ),
            ("other bills", "default orders None", "default bills A", "other orders a"),
        ),
    ],
)
def test_what_rests_is_left_alone_and_nothing_else(rows: dict[str, int], resting: Resting, rest: tuple[str]) -> None:
    left = set(OutboxMessage.objects.filter(resting.lets_go()).values_list("pk", flat=True))
    assert left == {pk for name, pk in rows.items() if not (rest and name.startswith(rest))}
    assert bool(resting) == bool(rest)
    again = read_again(Scope(resting=resting), list(rows.values()))
    assert [row.id for row in again] == sorted(left)
