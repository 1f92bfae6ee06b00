from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Q

from django_dlq.exceptions import IllegalTransition
from django_dlq.models import TRANSITIONS, DeadLetter, Source, State, database_now, in_future, open_key
from tests.letters import consumer_letter, relay_letter

pytestmark = pytest.mark.django_db

OPEN = {State.RETRYING, State.DEAD, State.REPLAYING, State.PARKED}

# What docs/explanation/lifecycle.md draws, written here a second time so that neither changes unnoticed.
DIAGRAM = {
    ("retrying", "retry"): "retrying",
    ("retrying", "give_up"): "dead",
    ("dead", "give_up"): "dead",
    ("replaying", "give_up"): "dead",
    ("retrying", "replay"): "replaying",
    ("dead", "replay"): "replaying",
    ("retrying", "edit"): "resolved",
    ("dead", "edit"): "resolved",
    ("retrying", "discard"): "discarded",
    ("dead", "discard"): "discarded",
    ("discarded", "restore"): "dead",
    ("replaying", "restore"): "dead",
    ("retrying", "resolve"): "resolved",
    ("replaying", "resolve"): "resolved",
    ("retrying", "skip"): "resolved",
    ("dead", "skip"): "resolved",
    ("replaying", "skip"): "resolved",
    ("retrying", "compensate"): "compensated",
    ("dead", "compensate"): "compensated",
    ("replaying", "compensate"): "compensated",
    ("parked", "discard"): "discarded",
    ("parked", "release"): "retrying",
}
EVERY_PAIR = [(state, verb) for state in State.values for verb in TRANSITIONS]


def test_the_transitions_are_those_of_the_diagram():
    assert {
        (state.value, verb): target.value for verb, (states, target) in TRANSITIONS.items() for state in states
    } == DIAGRAM


@pytest.mark.parametrize(("state", "verb"), EVERY_PAIR)
@pytest.mark.parametrize("make", [consumer_letter, relay_letter])
def test_each_transition_is_possible_exactly_where_the_diagram_has_it(make, state, verb):
    letter = make(
        state, next_attempt_at=in_future(timedelta(1)), closed_at=None if state in OPEN else in_future(timedelta())
    )
    before = DeadLetter.objects.values().get()
    target = DIAGRAM.get((state, verb))
    assert letter.allows(verb) is (target is not None)

    if target is None:
        with pytest.raises(IllegalTransition, match=f"dead letter {letter.pk} is {state}.*{verb}"):
            letter.move(verb)
        assert DeadLetter.objects.values().get() == before
        return
    letter.move(verb)
    assert letter.state == DeadLetter.objects.get().state == target


@pytest.mark.parametrize(("state", "verb"), sorted(DIAGRAM))
def test_a_letter_is_closed_exactly_when_it_is_settled(state, verb):
    letter = consumer_letter(state, next_attempt_at=in_future(timedelta(1)), closed_at=None)
    letter.move(verb)

    is_open = DIAGRAM[state, verb] in OPEN
    assert letter.is_open is is_open
    assert (letter.closed_at is None) is is_open
    assert letter.open_key == (open_key("shipping", "order-1") if is_open else None)
    assert (letter.next_attempt_at is not None) is (verb in ("retry", "release"))


def test_the_letter_of_a_relay_blocks_no_other():
    letter = relay_letter(State.DISCARDED)
    letter.move("restore")

    assert letter.open_key is None
    assert relay_letter().pk != letter.pk


def test_of_two_who_act_at_once_one_wins_and_the_other_is_told():
    mine, yours = consumer_letter(), DeadLetter.objects.get()
    mine.move("discard")

    with pytest.raises(IllegalTransition, match=r"is discarded, so it is too late to replay it"):
        yours.move("replay")
    assert yours.state == State.DISCARDED


def test_a_condition_is_compared_in_the_same_statement():
    letter = consumer_letter(attempts=2)

    with pytest.raises(IllegalTransition):
        letter.move("discard", only_if=Q(attempts=1))
    letter.move("discard", only_if=Q(attempts=2))


def test_a_letter_that_retention_has_deleted_is_gone():
    letter = consumer_letter(State.DISCARDED)
    DeadLetter.objects.all().delete()

    with pytest.raises(DeadLetter.DoesNotExist):
        letter.move("restore")


def test_a_letter_cannot_be_restored_beside_another_for_the_same_message():
    letter = consumer_letter(State.DISCARDED)
    consumer_letter(State.RETRYING)

    with pytest.raises(IllegalTransition, match="another letter for the same message is open"):
        letter.move("restore")
    letter.refresh_from_db()
    assert letter.state == State.DISCARDED


def test_a_message_has_one_open_letter_per_group():
    consumer_letter()
    consumer_letter(group="billing")
    consumer_letter(message_key="order-2")
    consumer_letter(State.RESOLVED)
    consumer_letter(State.DISCARDED)

    with pytest.raises(IntegrityError), transaction.atomic():
        consumer_letter(State.RETRYING)
    assert [letter.state for letter in DeadLetter.objects.of_message("shipping", "order-1")] == [State.DEAD]
    assert not DeadLetter.objects.of_message("Shipping", "order-1").exists()


def test_group_and_key_cannot_be_shifted_into_one_another():
    assert open_key("ab", "c") != open_key("a", "bc")
    assert open_key("ü", "") != open_key("", "ü")
    assert len(open_key("g" * 100, "k" * 255)) == 64


def test_open_letters_are_those_that_are_not_settled():
    letters = {state: consumer_letter(state, message_key=state) for state in State.values}

    assert set(DeadLetter.objects.open()) == {letters[state] for state in OPEN}
    assert {state for state, letter in letters.items() if letter.is_open} == OPEN


def test_due_letters_come_longest_due_first():
    def due(key, seconds, state=State.RETRYING):
        return consumer_letter(state, message_key=key, next_attempt_at=in_future(timedelta(seconds=seconds)))

    second, first, _later, _dead = due("a", -60), due("b", -120), due("c", 60), due("d", -60, State.DEAD)
    consumer_letter(State.RETRYING, message_key="e", next_attempt_at=None)

    assert list(DeadLetter.objects.due()) == [first, second]


@pytest.mark.parametrize("state", State.values)
def test_only_settled_letters_grow_old(state):
    letter = consumer_letter(state, closed_at=in_future(timedelta(days=-31)))

    assert list(DeadLetter.objects.closed_longer_than(timedelta(days=30))) == ([] if state in OPEN else [letter])
    assert not DeadLetter.objects.closed_longer_than(timedelta(days=32)).exists()


def test_another_failed_attempt_is_counted_once_if_two_made_it():
    mine, yours = consumer_letter(State.RETRYING, last_failed_at="2020-01-01T00:00:00Z"), DeadLetter.objects.get()
    mine.failed_again("retry", delay=timedelta(hours=1), error_class="KeyError")

    assert (mine.attempts, mine.error_class, mine.state) == (2, "KeyError", State.RETRYING)
    assert timedelta(minutes=59) < mine.next_attempt_at - database_now("default") <= timedelta(hours=1)
    assert database_now("default") - mine.last_failed_at < timedelta(minutes=1)
    with pytest.raises(IllegalTransition):
        yours.failed_again("give_up", delay=None)
    assert DeadLetter.objects.get().attempts == 2


def test_giving_up_plans_no_attempt():
    letter = consumer_letter(State.RETRYING, next_attempt_at=in_future(timedelta(1)))
    letter.failed_again("give_up", delay=None)

    assert (letter.state, letter.next_attempt_at, letter.attempts) == (State.DEAD, None, 2)


def test_the_headers_of_this_app_are_not_the_publishers():
    headers = (("trace", b"1"), ("id", b"m-1"), ("dlq-group", b"x"), ("trace", None), ("ID", b"foreign"))

    assert consumer_letter(headers=headers).publisher_headers() == (
        ("trace", b"1"),
        ("trace", None),
        ("ID", b"foreign"),
    )


def test_a_letter_is_named_by_its_message():
    assert str(consumer_letter()) == "orders order-1"


def test_states_and_sources_have_names_for_people():
    assert (State.RETRYING.label, Source.RELAY.label) == ("retrying", "relay")
