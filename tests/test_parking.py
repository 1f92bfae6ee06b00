"""Order through failure: what is parked, behind what, and when it goes on."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_dlq import consumer, deadletters, inbox, parking
from django_dlq.consuming.circuits import Circuits
from django_dlq.consuming.due import ORPHANED_AFTER
from django_dlq.models import (
    DatabaseNow,
    DeadLetter,
    DeadLetterEvent,
    InboxMessage,
    OutboxMessage,
    State,
    WaitingKey,
    in_future,
)
from django_dlq.retries import Retries
from tests.consuming.shipping import record
from tests.letters import replay_record, timeline

pytestmark = pytest.mark.django_db

GROUP = "shipping"


class Shop:
    """Takes the messages of the group; fails on some as often as it is told."""

    def __init__(self, **options):
        self.handled, self.failing = [], {}
        self.error = OSError
        options = {"ordered": True, "retry": inbox.RetryPolicy.fixed(every=timedelta(hours=1), attempts=5)} | options
        inbox.handler("orders", group=GROUP, **options)(self.take)

    def take(self, message):
        for one in message if isinstance(message, list) else [message]:
            number = int(one.message_key)
            if self.failing.get(number, 0):
                self.failing[number] -= 1
                raise self.error(f"{number} fails")
            self.handled.append(number)

    def fail(self, *numbers, times=1):
        self.failing |= dict.fromkeys(numbers, times)


@pytest.fixture
def shop(registry):
    return Shop()


@pytest.fixture
def ana():
    return User.objects.create_user("ana")


def deliver(*numbers, key=b"A"):
    for number in numbers:
        consumer.settle(GROUP, record(number, key))


def letter(number):
    return DeadLetter.objects.filter(message_key=str(number)).latest("pk")


def states():
    return {int(each.message_key): each.state for each in DeadLetter.objects.order_by("pk")}


def run_retries():
    """Let an hour pass again and again, until nothing is left to be tried."""
    while (
        DeadLetter.objects.filter(state=State.RETRYING, next_attempt_at__gt=DatabaseNow()).update(
            next_attempt_at=DatabaseNow()
        )
        + Retries().run_once()
    ):
        pass


def test_later_messages_of_a_key_that_is_retried_are_parked_and_then_handled_in_order(shop):
    shop.fail(1, times=2)
    deliver(1, 2, 3)

    assert states() == {1: State.RETRYING, 2: State.PARKED, 3: State.PARKED}
    assert not InboxMessage.objects.exists()
    run_retries()
    assert shop.handled == [1, 2, 3]
    assert set(states().values()) == {State.RESOLVED}
    deliver(4)
    assert shop.handled == [1, 2, 3, 4]
    assert not WaitingKey.objects.exists()


def test_they_are_parked_behind_a_dead_letter_until_it_is_settled(shop, ana):
    shop.error = inbox.Reject
    shop.fail(1)
    deliver(1, 2, 3)
    run_retries()
    assert states() == {1: State.DEAD, 2: State.PARKED, 3: State.PARKED}

    deadletters.discard(letter(1), actor=ana, reason="a test order")
    assert states() == {1: State.DISCARDED, 2: State.RETRYING, 3: State.PARKED}
    run_retries()
    assert shop.handled == [2, 3]


def test_what_fails_in_its_turn_is_what_the_others_wait_for_then(shop):
    shop.fail(1)
    deliver(1, 2, 3)
    shop.error = inbox.Reject
    shop.fail(2)
    run_retries()

    assert shop.handled == [1]
    assert states() == {1: State.RESOLVED, 2: State.DEAD, 3: State.PARKED}
    deliver(4)
    assert letter(4).state == State.PARKED


def test_a_released_message_has_its_whole_ladder_before_it(shop):
    shop.fail(1)
    deliver(1, 2)
    run_retries()
    attempts = {int(each.message_key): each.attempts for each in DeadLetter.objects.all()}
    assert attempts == {1: 1, 2: 0}


def test_nobody_else_waits(shop, registry):
    other = []
    inbox.handler("orders", group="mails")(lambda message: other.append(int(message.message_key)))
    shop.fail(1)
    deliver(1)
    deliver(2, key=b"B")
    deliver(3, key=None)
    consumer.settle("mails", record(2, b"A"))
    assert shop.handled == [2, 3]
    assert other == [2]


def test_a_message_without_a_key_lets_nobody_wait(shop):
    shop.fail(1)
    deliver(1, 2, key=None)

    assert shop.handled == [2]
    assert letter(1).order_key is None


def test_a_handler_that_is_not_ordered_parks_nothing(registry):
    shop = Shop(ordered=False)
    shop.fail(1)
    deliver(1, 2)

    assert shop.handled == [2]
    assert letter(1).order_key is None
    assert not WaitingKey.objects.exists()


def test_a_parked_message_is_kept_whole_with_its_timeline(shop):
    shop.fail(1)
    deliver(1, 2)
    parked, first = letter(2), letter(1)

    assert (parked.attempts, parked.next_attempt_at, parked.error_class, parked.fingerprint) == (0, None, "", "")
    assert (parked.key_bytes, parked.body_bytes, parked.partition, parked.offset) == (b"A", b"{}", 0, 2)
    run_retries()
    assert timeline(parked) == [("parked", "consumer"), ("released", "retries"), ("resolved", "retries")]
    assert [event.data for event in DeadLetterEvent.objects.filter(letter=parked)][:2] == [
        {"behind": first.pk},
        {"after": first.pk},
    ]


def test_what_is_delivered_again_is_parked_once(shop):
    shop.fail(1)
    deliver(1, 2, 2, 2)

    assert DeadLetter.objects.filter(state=State.PARKED).count() == 1
    run_retries()
    deliver(2)
    assert shop.handled == [1, 2]


def test_what_was_handled_before_is_skipped_while_its_key_waits(shop):
    deliver(1)
    shop.fail(2)
    deliver(2, 1, 3)

    assert states() == {2: State.RETRYING, 3: State.PARKED}


def test_what_others_wait_for_is_handled_when_it_is_delivered_again(shop):
    shop.fail(1)
    deliver(1, 2, 1)

    assert shop.handled == [1]
    run_retries()
    assert shop.handled == [1, 2]


def test_a_replay_is_not_parked_behind_its_own_letter(shop, ana):
    shop.error = inbox.Reject
    shop.fail(1)
    deliver(1, 2)
    first = letter(1)
    deadletters.replay(first, actor=ana)
    deliver(3)
    assert states() == {1: State.REPLAYING, 2: State.PARKED, 3: State.PARKED}

    consumer.settle(GROUP, replay_record(first, key=b"A"))
    assert states() == {1: State.RESOLVED, 2: State.RETRYING, 3: State.PARKED}
    run_retries()
    assert shop.handled == [1, 2, 3]


def test_a_replay_that_fails_lets_the_others_wait_on(shop, ana):
    shop.error = inbox.Reject
    shop.fail(1, times=2)
    deliver(1, 2)
    deadletters.replay(letter(1), actor=ana)
    consumer.settle(GROUP, replay_record(letter(1), key=b"A"))
    run_retries()

    assert shop.handled == []
    assert states() == {1: State.DEAD, 2: State.PARKED}


def test_an_edited_copy_takes_the_place_of_its_letter(shop, ana):
    shop.error = inbox.Reject
    shop.fail(1)
    deliver(1, 2)
    copy = deadletters.edit(letter(1), actor=ana, reason="typo", body=b'{"corrected": true}')
    run_retries()
    assert (letter(2).state, shop.handled) == (State.PARKED, [])

    consumer.settle(GROUP, replay_record(copy, key=b"A"))
    run_retries()
    assert shop.handled == [1, 2]
    assert OutboxMessage.objects.get().letter_id == copy.pk


def test_a_copy_with_another_key_lets_its_own_wait_and_no_longer_the_old_one(shop, ana):
    shop.error = inbox.Reject
    shop.fail(1)
    deliver(1, 2)
    deadletters.edit(letter(1), actor=ana, reason="wrong key", key="B")
    deliver(3, key=b"B")
    run_retries()

    assert shop.handled == [2]
    assert letter(3).state == State.PARKED


def test_a_copy_without_a_key_lets_nobody_wait(shop, ana):
    shop.error = inbox.Reject
    shop.fail(1)
    deliver(1, 2)
    deadletters.edit(letter(1), actor=ana, reason="no key", key=None)
    run_retries()

    assert shop.handled == [2]
    assert not WaitingKey.objects.exists()


def test_a_restored_letter_lets_its_key_wait_again(shop, ana):
    shop.error = inbox.Reject
    shop.fail(1)
    deliver(1, 2, 3)
    deadletters.discard(letter(1), actor=ana, reason="a test order")
    deadletters.restore(letter(1), actor=ana)
    run_retries()

    assert shop.handled == [2]  # which was released before
    assert states() == {1: State.DEAD, 2: State.RESOLVED, 3: State.PARKED}
    deadletters.discard(letter(1), actor=ana, reason="a test order after all")
    run_retries()
    assert shop.handled == [2, 3]


def test_a_restored_letter_lets_its_key_wait_again_when_nothing_was_left_of_it(shop, ana):
    shop.error = inbox.Reject
    shop.fail(1)
    deliver(1)
    deadletters.discard(letter(1), actor=ana, reason="a test order")
    assert not WaitingKey.objects.exists()

    deadletters.restore(letter(1), actor=ana)
    deliver(2)
    assert letter(2).state == State.PARKED


def test_a_parked_letter_can_be_discarded_and_lets_nobody_go(shop, ana):
    shop.error = inbox.Reject
    shop.fail(1)
    deliver(1, 2, 3)
    deadletters.discard(letter(2), actor=ana, reason="ordered twice")
    assert states() == {1: State.DEAD, 2: State.DISCARDED, 3: State.PARKED}

    deadletters.discard(letter(1), actor=ana, reason="a test order")
    run_retries()
    assert shop.handled == [3]


@pytest.mark.parametrize("choice", [inbox.Decision.SKIP, inbox.Compensate(lambda message, error: None)])
def test_what_its_handler_skips_or_makes_good_in_a_retry_lets_the_others_go(registry, choice):
    shop = Shop(on_failure=lambda message, error: choice if message.attempt > 1 else None)
    shop.fail(1, times=2)
    deliver(1, 2)
    run_retries()

    assert shop.handled == [2]
    assert not WaitingKey.objects.exists()


@pytest.mark.parametrize("choice", [inbox.Decision.SKIP, inbox.Compensate(lambda message, error: None)])
def test_what_its_handler_skips_or_makes_good_at_once_lets_nobody_wait(registry, choice):
    shop = Shop(on_failure=lambda message, error: choice)
    shop.fail(1)
    deliver(1, 2)

    assert shop.handled == [2]
    assert not WaitingKey.objects.exists()


def test_what_has_expired_lets_nobody_wait(shop):
    consumer.settle(GROUP, expired(1))
    deliver(2)

    assert letter(1).state == State.DEAD
    assert shop.handled == [2]


def test_what_expires_while_it_waits_lets_the_others_go(shop):
    shop.fail(1)
    deliver(1)
    consumer.settle(GROUP, expired(2))
    deliver(3)
    run_retries()

    assert states() == {1: State.RESOLVED, 2: State.DEAD, 3: State.RESOLVED}
    assert shop.handled == [1, 3]
    assert not WaitingKey.objects.exists()


def expired(number):
    plain = record(number, b"A")
    return plain._replace(headers=(*plain.headers, ("dlq-expires", b"2020-01-01T00:00:00+00:00")))


def test_of_a_batch_only_those_wait_whose_key_does(registry):
    shop = Shop(batch_size=10)
    shop.fail(1)
    deliver(1)
    consume(record(2, b"A"), record(3, b"B"), record(4, b"A"), record(5, None))

    assert shop.handled == [3, 5]
    assert states() == {1: State.RETRYING, 2: State.PARKED, 4: State.PARKED}
    run_retries()
    assert shop.handled == [3, 5, 1, 2, 4]


def test_in_a_batch_that_fails_those_behind_the_guilty_are_parked(registry):
    shop = Shop(batch_size=10)
    shop.fail(2, times=9)
    consume(*(record(number, b"A") for number in range(1, 6)))

    assert states() == {2: State.RETRYING, 3: State.PARKED, 4: State.PARKED, 5: State.PARKED}
    shop.fail(2, times=0)
    run_retries()
    assert list(InboxMessage.objects.order_by("pk").values_list("message_key", flat=True)) == list("12345")


def consume(*records):
    deliveries = [consumer.delivery_of(each, GROUP) for each in records]
    consumer.settle_work(deliveries)
    assert all(delivery.outcome for delivery in deliveries)


def test_a_key_that_is_free_again_when_it_would_be_parked_is_handled(shop, monkeypatch):
    shop.fail(1)
    deliver(1)
    is_done = InboxMessage.objects.is_done

    def meanwhile(*args):
        run_retries()
        return is_done(*args)

    monkeypatch.setattr(InboxMessage.objects, "is_done", meanwhile)
    deliver(2)
    assert shop.handled == [1, 2]
    assert set(states()) == {1}


def test_a_failure_of_a_parked_message_elsewhere_is_noted_and_leaves_it_parked(shop):
    shop.fail(1)
    deliver(1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parking, "handle_in_turn", unaware)
        shop.fail(2)
        deliver(2)
    assert (letter(2).state, letter(2).attempts) == (State.PARKED, 0)
    assert timeline(letter(2)) == [("parked", "consumer"), ("failed", "consumer")]
    run_retries()
    assert shop.handled == [1, 2]


def unaware(message, handler, function):
    """Handle it in a process that does not know yet that it has lost the partition, and has asked before."""
    return "handled" if inbox.handle_once(message, GROUP, function) else "duplicate"


def test_a_parked_message_that_was_compensated_elsewhere_is_found_to_be_done(registry):
    made_good = []
    choice = inbox.Compensate(lambda message, error: made_good.append(message.message_key))
    shop = Shop(on_failure=lambda message, error: choice if message.message_key == "2" else None)
    shop.fail(1)
    deliver(1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parking, "handle_in_turn", unaware)
        shop.fail(2)
        deliver(2)
    run_retries()
    assert (shop.handled, made_good) == ([1], ["2"])
    assert not DeadLetter.objects.open().exists()


def test_a_message_whose_handler_is_gone_lets_the_others_wait(shop, registry):
    shop.fail(1)
    deliver(1, 2)
    registry.handlers.clear()
    DeadLetter.objects.filter(state=State.RETRYING).update(next_attempt_at=in_future(-2 * ORPHANED_AFTER))
    run_retries()
    assert states() == {1: State.DEAD, 2: State.PARKED}


def test_keys_of_bytes_that_are_no_text_are_told_apart(shop):
    shop.fail(1)
    deliver(1, key=b"\xff")
    deliver(2, key=b"\xfe")
    deliver(3, key=b"\xff")
    assert shop.handled == [2]
    assert letter(3).state == State.PARKED


def test_what_is_due_elsewhere_is_not_held_up_by_a_long_line(shop):
    shop.fail(1)
    deliver(1, *range(2, 6))
    shop.fail(9)
    deliver(9, key=b"B")
    run_retries()
    assert shop.handled.index(9) <= 1
    assert [number for number in shop.handled if number != 9] == [1, 2, 3, 4, 5]


def test_after_letters_were_deleted_by_hand_nothing_waits_for_ever(shop):
    shop.fail(1)
    deliver(1, 2, 3)
    DeadLetter.objects.filter(message_key="1").delete()
    deliver(4)
    assert states() == {2: State.RETRYING, 3: State.PARKED, 4: State.PARKED}
    run_retries()
    assert shop.handled == [2, 3, 4]

    shop.fail(5)
    deliver(5)
    DeadLetter.objects.all().delete()
    deliver(6)
    assert shop.handled == [2, 3, 4, 6]
    assert not WaitingKey.objects.exists()


def test_what_goes_back_because_of_an_outage_is_not_overtaken_in_its_batch(registry):
    shop = Shop(batch_size=10)
    shop.fail(1, times=2)
    deliver(1)
    deliveries = [consumer.delivery_of(record(number, b"A"), GROUP) for number in (1, 2)]
    consumer.settle_work(deliveries, Outage())

    assert [delivery.outcome for delivery in deliveries] == [None, None]
    assert states() == {1: State.RETRYING}


class Outage(Circuits):
    """The circuits at the moment at which an outage begins: every failure is its."""

    def __init__(self):
        super().__init__(())

    def claims(self, handler, error):
        """Take the blame."""
        return True


def test_to_handle_a_message_costs_as_many_statements_however_many_are_parked_behind_it(shop):
    counts = []
    for first, parked in ((1, 1), (100, 9)):
        shop.fail(first)
        deliver(*range(first, first + 1 + parked), key=b"%d" % first)
        DeadLetter.objects.filter(message_key=first).update(next_attempt_at=in_future(timedelta(seconds=-9)))
        with CaptureQueriesContext(connection) as captured:
            Retries()._attempt_next()
        counts.append(len(captured))
    assert shop.handled == [1, 100]
    assert counts[0] == counts[1]
