from collections.abc import Callable

import pytest

from django_dlq.exceptions import BrokerUnavailable
from django_dlq.models import BrokerOutage
from django_dlq.relaying import circuits
from django_dlq.relaying.circuits import MOST_KEPT, Circuits
from tests.relaying.test_rests import row

pytestmark = pytest.mark.django_db

ERROR = BrokerUnavailable("down")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    passed = [0.0]
    real = circuits.now
    monkeypatch.setattr(circuits, "now", lambda: real() + passed[0])

    def let_pass() -> None:
        passed[0] += 20

    return let_pass


def test_the_topics_of_what_could_not_be_sent_take_turns(later: Callable[[], None]) -> None:
    circuit = Circuits("me")
    circuit.failed("a", ERROR)
    circuit.remember("a", [row(1), row(2), row(3, topic="bills"), row(4, topic="events")])
    assert circuit.choose("a") == []  # during the pause
    tried = []
    for _ in range(4):
        later()
        tried += circuit.choose("a")
        assert circuit.choose("a") == []  # it is on its way
        circuit.failed("a", ERROR)
    assert tried == [1, 3, 4, 1]
    circuit.succeeded("a")
    assert (circuit.open(), circuit.closed()) == ({}, frozenset())
    assert not BrokerOutage.objects.exists()


def test_a_broker_of_which_no_message_is_known_is_read_again(later: Callable[[], None]) -> None:
    circuit = Circuits("me")
    circuit.failed("a", ERROR)
    assert (circuit.open(), circuit.closed()) == ({"a": "down"}, frozenset())
    circuit.remember("a", [row(1)])
    assert circuit.closed() == {"a"}
    later()
    circuit.forget("a", circuit.choose("a"))
    assert circuit.closed() == frozenset()
    circuit.remember("a", [row(2)])
    assert circuit.choose("a") == [2]  # the first was not sent, so the pause is still over


def test_only_some_are_remembered_and_the_newest_first(later: Callable[[], None]) -> None:
    circuit = Circuits("me")
    circuit.failed("a", ERROR)
    circuit.remember("a", [row(n, topic=str(n)) for n in range(100)])
    circuit.remember("a", [row(0, topic="0"), row(200)])
    later()
    assert circuit.choose("a") == [200]
    assert len(circuit._waiting["a"]) == MOST_KEPT


def test_what_was_not_tried_after_all_is_tried_next(later: Callable[[], None]) -> None:
    circuit = Circuits("me")
    circuit.forgo("a")
    circuit.failed("a", ERROR)
    circuit.remember("a", [row(1)])
    later()
    circuit.choose("a")
    circuit.forgo("a")
    assert circuit.choose("a") == [1]
