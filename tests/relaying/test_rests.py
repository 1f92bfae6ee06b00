from collections.abc import Callable, Iterator

import pytest

from django_dlq import signals
from django_dlq.exceptions import TopicUnavailable
from django_dlq.models import BrokerOutage
from django_dlq.models.outgoing import Outgoing
from django_dlq.models.resting import NOTHING_RESTS
from django_dlq.relaying import circuits, rests
from django_dlq.relaying.rests import Rests

pytestmark = pytest.mark.django_db

ERROR = TopicUnavailable("no leader")


@pytest.fixture
def rest() -> Rests:
    return Rests("me")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let every pause be over."""
    passed = [0.0]
    real = circuits.now
    monkeypatch.setattr(rests, "now", lambda: real() + passed[0])

    def let_pass() -> None:
        passed[0] += 20

    return let_pass


@pytest.fixture
def told() -> Iterator[list[tuple[str, str]]]:
    collected: list[tuple[str, str]] = []

    def rests_now(broker: str, topic: str, **_: object) -> None:
        collected.append(("rests", f"{broker} {topic}"))

    def goes_on(broker: str, topic: str, **_: object) -> None:
        collected.append(("goes on", f"{broker} {topic}"))

    signals.topic_unavailable.connect(rests_now)
    signals.topic_available.connect(goes_on)
    yield collected
    signals.topic_unavailable.disconnect(rests_now)
    signals.topic_available.disconnect(goes_on)


def row(pk: int, topic: str = "orders", key: str | None = "a") -> Outgoing:
    blank = Outgoing(*[None] * len(Outgoing._fields))  # type: ignore[arg-type]
    return blank._replace(id=pk, topic=topic, key=key)


def test_what_timed_out_rests_with_its_key_and_is_written_down(rest: Rests, told: list[tuple[str, str]]) -> None:
    rest.rest("default", [row(1), row(2), row(3, key=None), row(4, topic="bills")], ERROR)

    keys = {("default", "orders", "a"), ("default", "orders", None), ("default", "bills", "a")}
    assert (rest.now().keys, rest.now().topics) == (keys, frozenset())
    assert rest.aliases() == {"default"}
    assert rest.told() == {"default (topic orders)": "no leader", "default (topic bills)": "no leader"}
    outages = BrokerOutage.objects.order_by("topic").values_list("relay_id", "broker", "topic", "reason")
    assert list(outages) == [("me", "default", "bills", "no leader"), ("me", "default", "orders", "no leader")]
    assert told == [("rests", "default orders"), ("rests", "default bills")]


def test_nothing_is_tried_during_the_pause_and_then_the_first_of_each_key(
    rest: Rests, later: Callable[[], None]
) -> None:
    rest.rest("default", [row(1), row(2), row(3, key="b")], ERROR)
    assert rest.choose("default") == []
    later()
    assert rest.choose("other") == []
    assert rest.choose("default") == [1, 3]
    assert rest.choose("default") == []  # they are on their way


def test_what_was_taken_goes_on_and_what_was_not_rests_for_longer(
    rest: Rests, later: Callable[[], None], told: list[tuple[str, str]]
) -> None:
    rest.rest("default", [row(1), row(2, key="b"), row(3, topic="bills")], ERROR)
    later()
    ids = rest.choose("default")
    rest.tried("default", ids, failed={2}, error=ERROR)

    assert rest.now().keys == {("default", "orders", "b")}
    assert rest.choose("default") == []
    assert told[2:] == [("goes on", "default bills")]
    later()
    rest.tried("default", rest.choose("default"))
    assert rest.now() == NOTHING_RESTS
    assert not BrokerOutage.objects.exists()


def test_what_is_tried_says_nothing_of_other_topics(rest: Rests, later: Callable[[], None]) -> None:
    rest.rest("default", [row(1)], ERROR)
    later()
    ids = rest.choose("default")
    rest.rest("default", [row(2, topic="bills")], ERROR)
    rest.rest("other", [row(3)], ERROR)
    rest.tried("default", ids)
    assert rest.now().keys == {("default", "bills", "a"), ("other", "orders", "a")}


def test_of_many_keys_the_topic_rests_and_only_so_many_are_remembered(rest: Rests) -> None:
    rest.rest("default", [row(n, key=str(n)) for n in range(rests.MOST_KEYS)], ERROR)
    assert len(rest.now().keys) == rests.MOST_KEYS
    rest.rest("default", [row(n, key=str(n)) for n in range(5000)], ERROR)
    assert rest.now().topics == {("default", "orders")}
    assert rest.now().keys == frozenset()
    assert len(rest._rests["default", "orders"].first) == rests.MOST_KEYS


def test_a_topic_of_which_ever_more_keys_time_out_rests(rest: Rests) -> None:
    for n in range(rests.MOST_TIMES):
        assert rest.now().topics == frozenset()
        rest.rest("default", [row(n, key=str(n))], ERROR)
    assert rest.now().topics == {("default", "orders")}


def test_only_some_are_tried_at_once_and_all_have_their_turn(rest: Rests, later: Callable[[], None]) -> None:
    rest.rest("default", [row(n, key=str(n)) for n in range(50)], ERROR)
    seen: set[int] = set()
    for _ in range(3):
        later()
        ids = rest.choose("default")
        assert len(ids) == rests.MOST_TRIED
        seen |= set(ids)
        rest.tried("default", ids, failed=set(ids), error=ERROR)
    assert len(seen) == 50


def test_after_an_outage_of_its_broker_it_is_tried_soon(rest: Rests, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(rests, "now", lambda: clock[0])
    rest.rest("default", [row(1)], ERROR)
    for _ in range(10):
        clock[0] += 10
        rest.tried("default", rest.choose("default"), failed={1}, error=ERROR)
    clock[0] += 0.3
    assert rest.choose("default") == []
    rest.hurry("default")
    rest.hurry("other")
    clock[0] += 0.3
    assert rest.choose("default") == [1]
    assert rest.told() == {"default (topic orders)": "no leader"}


def test_what_was_not_tried_after_all_is_tried_next(rest: Rests, later: Callable[[], None]) -> None:
    rest.rest("default", [row(1)], ERROR)
    later()
    rest.choose("default")
    rest.forgo("other")
    assert rest.choose("default") == []
    rest.forgo("default")
    assert rest.choose("default") == [1]
