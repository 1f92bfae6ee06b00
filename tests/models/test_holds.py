import pytest

from django_dlq import deadletters
from django_dlq.models import OutboxMessage, holds
from django_dlq.models.holds import MOST_NAMED, NOTHING_HELD, Holds, current_holds
from tests.letters import relay_letter

pytestmark = pytest.mark.django_db

both_ways = pytest.mark.parametrize("most_named", [MOST_NAMED, 0])


def hold(topic, key):
    return relay_letter(topic=topic, key=key, holds_key=True)


def write(topic, key, **columns):
    number = str(OutboxMessage.objects.count())
    return OutboxMessage.objects.create(topic=topic, key=key, message_id=number, message_key=number, **columns)


def sent():
    return list(OutboxMessage.objects.filter(current_holds().lets_go()).order_by("pk"))


@both_ways
def test_what_waits_are_the_messages_of_the_topic_and_key_but_no_replay(monkeypatch, most_named):
    monkeypatch.setattr(holds, "MOST_NAMED", most_named)
    letter = hold("ledger", "a")
    relay_letter(topic="ledger", key="b")  # it holds nothing
    write("ledger", "a")
    free = [write("ledger", "A"), write("ledger", "b"), write("ledger", None), write("orders", "a")]
    replay = write("ledger", "a", letter_id=letter.pk)

    assert sent() == [*free, replay]


def test_where_nothing_is_held_nothing_waits(django_assert_num_queries):
    row = write("ledger", "a")
    with django_assert_num_queries(1):
        assert current_holds() == NOTHING_HELD
    assert not NOTHING_HELD
    assert NOTHING_HELD.is_current
    assert sent() == [row]


def test_as_many_keys_as_may_be_named_are_named(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(holds, "MOST_NAMED", 3)
    letters = [hold("ledger", "a"), hold("ledger", "b"), hold("orders", "a")]
    with django_assert_num_queries(1):
        found = current_holds()
    assert found.keys == {(letter.topic, letter.key) for letter in letters}

    hold("orders", "b")
    found = current_holds()
    assert (bool(found), found.keys) == (True, frozenset())


def test_so_many_keys_may_be_named():
    row = write("topic 1", "0")
    named = Holds(frozenset((f"topic {n % 3}", str(n)) for n in range(MOST_NAMED)))

    assert list(OutboxMessage.objects.filter(named.lets_go())) == [row]


@pytest.mark.parametrize("key", ["", "a b", 'a","b', "\\", '\\"', "{}", "NULL", "%s", "ü'"])
def test_a_key_is_held_whatever_is_in_it(key):
    hold("ledger", key)
    write("ledger", key)
    free = write("ledger", "another")

    assert sent() == [free]


@both_ways
def test_other_holds_are_other_values(monkeypatch, most_named):
    monkeypatch.setattr(holds, "MOST_NAMED", most_named)
    first, _ = hold("ledger", "a"), hold("ledger", "b")
    both = current_holds()
    assert both == current_holds()

    deadletters.discard(first, actor="ana", reason="no longer wanted")
    assert current_holds() != both
    hold("ledger", "c")
    assert current_holds() != both


def test_keys_that_are_too_many_to_name_are_current_until_a_letter_lets_go_of_one(monkeypatch):
    monkeypatch.setattr(holds, "MOST_NAMED", 1)
    letter, _ = hold("ledger", "a"), hold("ledger", "b")
    found = current_holds()
    assert found.is_current

    deadletters.discard(letter, actor="ana", reason="no longer wanted")
    assert not found.is_current


def test_keys_that_are_named_wait_until_they_are_read_again():
    letter = hold("ledger", "a")
    found = current_holds()
    deadletters.discard(letter, actor="ana", reason="no longer wanted")
    write("ledger", "a")

    assert found.is_current
    assert not OutboxMessage.objects.filter(found.lets_go()).exists()
