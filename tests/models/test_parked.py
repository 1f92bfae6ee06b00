import pytest

from django_dlq.models import DeadLetter, State, WaitingKey, count_parked, let_go, letter_before, parked, release_next
from tests.letters import consumer_letter, timeline

pytestmark = pytest.mark.django_db


def line(*states, order_key="a"):
    WaitingKey.objects.hold(order_key)
    return [
        consumer_letter(state, message_key=f"{order_key}-{number}", order_key=order_key)
        for number, state in enumerate(states)
    ]


def states():
    return list(DeadLetter.objects.order_by("pk").values_list("state", flat=True))


def test_the_first_in_the_line_is_released_and_due():
    settled, first, _second = line(State.RESOLVED, State.PARKED, State.PARKED)
    line(State.RETRYING, State.PARKED, order_key="b")
    release_next(settled, actor="ada")

    assert states() == ["resolved", "retrying", "parked", "retrying", "parked"]
    assert list(DeadLetter.objects.due()) == [first]
    assert timeline(first) == [("released", "ada")]
    assert WaitingKey.objects.among({"a"})


@pytest.mark.parametrize("active", [State.RETRYING, State.DEAD, State.REPLAYING])
def test_nothing_is_released_while_another_letter_of_the_key_is_active(active):
    settled, *_ = line(State.RESOLVED, State.PARKED, active)
    release_next(settled, actor="ada")

    assert states() == ["resolved", "parked", active]


def test_the_key_waits_no_longer_when_nothing_is_left(django_assert_num_queries):
    (settled,) = line(State.RESOLVED)
    release_next(settled, actor="ada")

    assert not WaitingKey.objects.exists()
    release_next(settled, actor="ada")
    alone = consumer_letter(message_key="of a handler that is not ordered")
    with django_assert_num_queries(0):
        release_next(alone, actor="ada")


def test_who_waits_for_an_open_letter_can_be_let_go():
    dead, first = line(State.DEAD, State.PARKED)
    let_go(dead, actor="consumer")
    let_go(dead, actor="consumer")

    assert states() == ["dead", "retrying"]
    dead.refresh_from_db()
    assert dead.order_key is None
    assert timeline(first) == [("released", "consumer")]


def test_a_parked_letter_has_one_before_it_and_others_behind_it(monkeypatch):
    dead, first, second, third = line(State.DEAD, State.PARKED, State.PARKED, State.PARKED)
    (settled,) = line(State.RESOLVED, order_key="b")
    alone = consumer_letter(message_key="of a handler that is not ordered")

    assert [letter_before(each) for each in (dead, first, third, settled, alone)] == [
        None,
        dead.pk,
        dead.pk,
        None,
        None,
    ]
    assert [count_parked(each) for each in (dead, first, second, third, settled, alone)] == [3, 2, 1, 0, 0, 0]
    monkeypatch.setattr(parked, "MOST_COUNTED", 1)
    assert count_parked(dead) == 2
