"""Messages that kill their process. A death is played by KeyboardInterrupt: nothing is caught, and nobody closes."""

import pytest
from django.db import OperationalError

from django_dlq import inbox, signals
from django_dlq.consumer import Consumer
from django_dlq.exceptions import ProcessDied
from django_dlq.models import DeadLetter, InboxMessage, State, Suspect, TakenPartition, WaitingKey
from tests.consuming.shipping import boxes, pack, record
from tests.shop.models import Box

pytestmark = pytest.mark.django_db(transaction=True)

DEADLY = "3"
PLACE = ("orders", 0)


class Death(KeyboardInterrupt):
    """The end of a process."""


@pytest.fixture
def calls():
    return []


@pytest.fixture
def ship(registry, group, calls):
    """Register a handler that dies of one message, and collect what it is called with."""

    def register(deadly=(DEADLY,), **options):
        def handle(message):
            calls.append(message.message_key)
            pack(message)
            if message.message_key in deadly:
                raise Death

        inbox.handler("orders", group=group, **options)(handle)

    return register


@pytest.fixture
def live(broker, group):
    """Let a consumer be given these messages until it is idle or dies; tell whether it has died."""

    def run(*records, consumer=None):
        broker.incoming = list(records)
        consumer = consumer or Consumer(group)
        try:
            while consumer.run_once(timeout=0):
                pass
        except Death:
            return True
        consumer.close()
        return False

    return run


def deaths():
    return dict(Suspect.objects.values_list("message_key", "deaths"))


FIVE = [record(number) for number in range(1, 6)]


def test_after_some_deaths_a_message_is_a_dead_letter_and_the_others_are_handled_once(ship, live, calls):
    ship()
    assert live(*FIVE)
    assert deaths() == {}  # the first death is nobody's
    assert TakenPartition.objects.count() == 1

    assert live(*FIVE)
    assert deaths() == {"1": 1, "2": 1, "3": 1, "4": 1, "5": 1}  # one of those in hand

    assert live(*FIVE)
    assert deaths() == {"3": 2, "4": 1, "5": 1}
    assert live(*FIVE)
    assert deaths() == {"1": 1, "2": 1, "3": 3, "4": 1, "5": 1}  # those that are done have come again
    assert calls.count(DEADLY) == 4

    assert not live(*FIVE)
    assert calls.count(DEADLY) == 4
    letter = DeadLetter.objects.get()
    assert (letter.message_key, letter.state, letter.attempts) == (DEADLY, State.DEAD, 1)
    assert letter.error_class == "django_dlq.exceptions.ProcessDied"
    assert "its process died 3 times while it was handled" in letter.error_message
    assert boxes() == [1, 2, 4, 5]
    assert sorted(calls) == ["1", "2", "3", "3", "3", "3", "4", "5"]
    assert not Suspect.objects.exists()
    assert not TakenPartition.objects.exists()


def test_where_nobody_has_died_a_message_costs_no_statement(ship, live, broker, group, django_assert_num_queries):
    ship(deadly=())
    consumer = Consumer(group)
    broker.incoming = [record(1)]
    consumer.run_once(timeout=0)
    broker.incoming = [record(number) for number in range(2, 12)]
    with django_assert_num_queries(10 * 4):  # BEGIN, the inbox row, the box, COMMIT
        consumer.run_once(timeout=0)
    assert not Suspect.objects.exists()
    consumer.close()


def test_whoever_is_killed_while_it_does_nothing_wrong_leaves_suspects_that_are_cleared(ship, live):
    ship(deadly=["1", "2"])
    assert live(*FIVE)
    assert live(*FIVE)
    assert len(deaths()) == 5
    ship(deadly=())
    assert not live(*FIVE)
    assert boxes() == [1, 2, 3, 4, 5]
    assert not DeadLetter.objects.exists()
    assert not Suspect.objects.exists()


def test_a_consumer_that_has_ended_in_good_order_leaves_nothing_to_be_careful_about(ship, live, broker, group):
    ship(deadly=())
    assert not live(*FIVE)
    assert not TakenPartition.objects.exists()
    seen = []
    signals.partitions_left.connect(hear := lambda **facts: seen.append(facts))
    try:
        assert not live(record(6))
    finally:
        signals.partitions_left.disconnect(hear)
    assert not seen


def test_a_partition_that_goes_to_another_member_is_given_back_and_one_that_is_left_is_told_of(
    ship, broker, group, live
):
    ship(deadly=())
    first = Consumer(group)
    broker.incoming = [record(1), record(2, partition=1)]
    first.run_once(timeout=0)
    broker.subscriptions[0].lost = {PLACE}
    first.run_once(timeout=0)
    assert list(TakenPartition.objects.values_list("partition", flat=True)) == [1]

    told = []
    signals.partitions_left.connect(hear := lambda **facts: told.append(facts["places"]))
    try:
        assert not live(record(3), record(4, partition=1))
    finally:
        signals.partitions_left.disconnect(hear)
    assert told == [[("orders", 1)]]
    first.close()


def test_what_was_written_down_and_is_given_away_unhandled_is_no_suspect_for_the_next(ship, broker, group):
    ship(deadly=())
    TakenPartition.objects.take("gone", group, {PLACE})
    consumer = Consumer(group)
    broker.incoming = FIVE
    suspicion = consumer._suspicion
    consumer._member = consumer._join()
    consumer._take(consumer._member, 0)
    suspicion.look()
    assert len(deaths()) == 5
    broker.subscriptions[0].lost = {PLACE}
    consumer.run_once(timeout=0)
    assert not Suspect.objects.exists()
    assert boxes() == []
    consumer.close()


def test_a_suspect_that_is_given_away_unhandled_stays_one(ship, live, broker, group):
    ship()
    assert live(*FIVE)
    assert live(*FIVE)
    consumer = Consumer(group)
    broker.incoming = FIVE
    consumer._member = consumer._join()
    consumer._take(consumer._member, 0)
    consumer._suspicion.look()
    consumer.close()
    assert deaths() == {"1": 1, "2": 1, "3": 1, "4": 1, "5": 1}


def test_only_so_many_messages_are_written_down_as_the_dead_one_can_have_had_in_hand(ship, live, settings, group):
    settings.DLQ_CONSUMER_BATCH = 3
    ship(deadly=())
    TakenPartition.objects.take("gone", group, {PLACE})
    consumer = Consumer(group)
    assert not live(*[record(number) for number in range(1, 4)], consumer=consumer)
    ship(deadly=["8"])
    TakenPartition.objects.take("gone", group, {PLACE})
    consumer = Consumer(group)
    assert live(*[record(number) for number in range(1, 30)], consumer=consumer)
    # What is a duplicate counts as nothing, and three more were in hand at most.
    assert boxes() == [1, 2, 3, 4, 5, 6, 7]
    assert deaths() == {}


def test_a_handled_message_is_no_dead_letter_whatever_died_after_it(ship, live, group):
    ship(deadly=())
    assert not live(*FIVE)
    TakenPartition.objects.take("gone", group, {PLACE})
    row = {"group": group, "topic": "orders", "partition": 0, "handler": "h", "owner": "gone"}
    Suspect.objects.create(**row, offset=3, message_id="3", message_key="3", deaths=3)
    assert not live(*FIVE)
    assert not DeadLetter.objects.exists()
    assert not Suspect.objects.exists()


def test_another_message_at_the_same_place_is_not_blamed(ship, live, group):
    ship(deadly=())
    TakenPartition.objects.take("gone", group, {PLACE})
    row = {"group": group, "topic": "orders", "partition": 0, "handler": "h", "owner": "gone"}
    Suspect.objects.create(**row, offset=3, message_id="of a topic that was deleted", message_key="3", deaths=3)
    assert not live(*FIVE)
    assert boxes() == [1, 2, 3, 4, 5]
    assert not Suspect.objects.exists()


def test_suspects_that_the_group_has_passed_are_forgotten(ship, live, group):
    ship(deadly=())
    TakenPartition.objects.take("gone", group, {PLACE})
    row = {"group": group, "topic": "orders", "handler": "h", "owner": "gone"}
    Suspect.objects.create(**row, partition=0, offset=0, message_id="0", message_key="0", deaths=2)
    Suspect.objects.create(**row, partition=1, offset=0, message_id="0", message_key="elsewhere", deaths=2)
    assert not live(*FIVE)
    assert deaths() == {"elsewhere": 2}


def test_the_rule_of_its_handler_is_asked_what_shall_become_of_it(ship, live):
    compensated = []
    ship(on_failure={ProcessDied: inbox.Compensate(lambda message, error: compensated.append(message.message_key))})
    for _ in range(4):
        assert live(*FIVE)
    assert not live(*FIVE)
    assert compensated == [DEADLY]
    assert DeadLetter.objects.get().state == State.COMPENSATED


def test_a_rule_that_kills_the_process_too_is_asked_once(ship, live):
    asked = []

    def rule(message, error):
        asked.append(error)
        raise Death

    ship(on_failure=rule)
    for _ in range(5):
        assert live(*FIVE)
    assert len(asked) == 1
    assert not live(*FIVE)
    assert len(asked) == 1
    letter = DeadLetter.objects.get()
    assert letter.state == State.DEAD
    assert "its process died 4 times" in letter.error_message


def test_the_later_messages_of_its_key_are_parked_behind_it_where_order_matters(ship, live):
    ship(ordered=True)
    keyed = [record(number, b"k" if number > 2 else None) for number in range(1, 6)]
    for _ in range(4):
        assert live(*keyed)
    assert not live(*keyed)
    assert boxes() == [1, 2]
    states = dict(DeadLetter.objects.values_list("message_key", "state"))
    assert states == {"3": State.DEAD, "4": State.PARKED, "5": State.PARKED}
    assert WaitingKey.objects.count() == 1


def test_in_a_batch_it_is_found_too(registry, broker, group, live, calls):
    def handle(messages):
        keys = [message.message_key for message in messages]
        calls.append(keys)
        Box.objects.bulk_create(Box(order=key) for key in keys)
        if DEADLY in keys:
            raise Death

    inbox.handler("orders", group=group, batch_size=10)(handle)
    for _ in range(4):
        assert live(*FIVE)
    assert not live(*FIVE)
    assert calls == [["1", "2", "3", "4", "5"]] * 2 + [["1"], ["2"], ["3"], ["3"], ["4"], ["5"]]
    assert DeadLetter.objects.get().message_key == DEADLY
    assert InboxMessage.objects.count() == 4


def test_what_cannot_be_written_down_is_not_handled(ship, live, broker, group, monkeypatch):
    ship(deadly=())
    TakenPartition.objects.take("gone", group, {PLACE})
    broker.incoming = FIVE
    consumer = Consumer(group)

    def fail(*args):
        raise OperationalError("the database is gone")

    with monkeypatch.context() as broken:
        broken.setattr(Suspect.objects, "write_down", fail)
        for _ in range(2):
            with pytest.raises(OperationalError):
                consumer.run_once(timeout=0)
    assert boxes() == []
    while consumer.run_once(timeout=0):
        pass
    consumer.close()
    assert boxes() == [1, 2, 3, 4, 5]
    assert not Suspect.objects.exists()


def test_an_outage_of_the_database_while_a_suspect_is_handled_counts_no_death(ship, live, broker, group, monkeypatch):
    ship()
    assert live(*FIVE)
    assert live(*FIVE)
    suspect = Suspect.objects.get(message_key=DEADLY)
    for _ in range(3):
        suspect.begin("somebody")
    assert deaths()[DEADLY] == 2
