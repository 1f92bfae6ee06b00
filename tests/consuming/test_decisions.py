"""What a batch handler wants to be done about its failures."""

import pytest
from django.db import OperationalError

from django_dlq import failures, inbox, signals
from django_dlq.consumer import Consumer
from django_dlq.exceptions import Reject, Skip
from django_dlq.inbox import Compensate, Decision
from django_dlq.message import Record
from django_dlq.models import DeadLetter, InboxMessage, State
from django_dlq.retry_policy import RetryPolicy
from tests.shop.models import Box, Order

pytestmark = pytest.mark.django_db

GUILTY = 5


def record(number):
    headers = (("id", b"id-%d" % number), ("dlq-message-key", b"%d" % number))
    return Record("orders", None, b"{}", headers, partition=0, offset=number)


def consume(broker, count=8):
    member = Consumer("shipping")
    broker.incoming += map(record, range(count))
    assert member.run_once() == count
    member.close()
    assert broker.subscriptions[-1].committed[-1].offset == count - 1


def batch_handler(registry, error, *, guilty=(GUILTY,), **options):
    """Register a batch handler that packs a box for each message, and fails with those that are guilty."""
    registry.handlers.clear()

    @inbox.handler("orders", group="shipping", batch_size=8, **options)
    def pack(messages):
        for message in messages:
            Box.objects.create(order=message.message_key)
            if int(message.message_key) in guilty:
                raise type(error)(*error.args)


def cancel(message, error):
    Order.objects.create(number=f"{message.message_key} cancelled: {error}")


def boxes():
    return sorted(int(order) for order in Box.objects.values_list("order", flat=True))


def cancelled():
    return list(Order.objects.order_by("pk").values_list("number", flat=True))


def outcomes():
    """Return what the inbox says of each message that was not simply handled."""
    return {row.message_key: (row.outcome, row.reason) for row in InboxMessage.objects.exclude(outcome="handled")}


INNOCENT = [number for number in range(8) if number != GUILTY]


@pytest.fixture
def skipped():
    """Collect what is said of messages that were skipped."""
    told = []

    def receiver(message, why, reason="", **_):
        told.append((message.message_key, why, reason))

    signals.message_skipped.connect(receiver)
    yield told
    signals.message_skipped.disconnect(receiver)


def test_the_guilty_message_of_a_batch_is_skipped_if_its_handler_says_so(registry, broker, skipped):
    batch_handler(registry, Skip("an order of long ago"))
    consume(broker)

    assert boxes() == INNOCENT
    assert outcomes() == {str(GUILTY): ("skipped", "an order of long ago")}
    assert skipped == [(str(GUILTY), "decision", "an order of long ago")]
    assert not DeadLetter.objects.exists()


def test_a_batch_of_one_may_be_skipped(registry, broker, skipped):
    batch_handler(registry, Skip("no need"), guilty=(0,))
    consume(broker, count=1)

    assert outcomes() == {"0": ("skipped", "no need")}
    assert skipped == [("0", "decision", "no need")]


def test_what_was_skipped_out_of_a_batch_is_a_duplicate_when_it_comes_again(registry, broker, skipped):
    batch_handler(registry, Skip("no need"))
    consume(broker)
    consume(broker)

    assert sorted(skipped) == sorted(
        [(str(n), "duplicate", "") for n in range(8)] + [(str(GUILTY), "decision", "no need")]
    )


def test_a_rule_decides_about_the_guilty_message_of_a_batch_alone(registry, broker):
    batch_handler(registry, ValueError("no"), on_failure={ValueError: Decision.DEAD})
    consume(broker)

    letter = DeadLetter.objects.get()
    assert (letter.message_key, letter.state, letter.attempts) == (str(GUILTY), State.DEAD, 1)
    assert boxes() == INNOCENT


def test_a_rule_is_asked_once_for_each_message_that_is_guilty_and_never_for_the_others(registry, broker):
    asked = []

    def rule(message, error):
        asked.append((message.message_key, str(error)))
        return Decision.SKIP

    batch_handler(registry, ValueError("no"), guilty=(1, 6), on_failure=rule)
    consume(broker)

    assert asked == [("1", "no"), ("6", "no")]
    assert outcomes() == {"1": ("skipped", "ValueError: no"), "6": ("skipped", "ValueError: no")}


def test_the_guilty_message_of_a_batch_is_compensated_once_and_its_own_rows_are_gone(registry, broker):
    batch_handler(registry, ValueError("no"), on_failure={ValueError: Compensate(cancel)})
    consume(broker)
    consume(broker)

    assert cancelled() == [f"{GUILTY} cancelled: no"]
    assert boxes() == INNOCENT
    assert outcomes() == {str(GUILTY): ("compensated", "ValueError: no")}
    assert [letter.state for letter in DeadLetter.objects.all()] == [State.COMPENSATED]


def test_a_batch_handlers_own_fingerprint_tells_its_failures_apart(registry, broker):
    def by_remainder(message, error):
        return f"shelf {int(message.message_key) % 2}"

    batch_handler(registry, Reject("no"), guilty=(1, 2, 3), fingerprint=by_remainder)
    consume(broker)

    causes = {letter.message_key: letter.fingerprint for letter in DeadLetter.objects.all()}
    assert causes["1"] == causes["3"] != causes["2"]


def test_one_cause_has_one_fingerprint_whether_it_failed_in_a_batch_or_alone(registry, broker):
    batch_handler(registry, ValueError("no"), guilty=(1, 2), retry=RetryPolicy(delays=()))
    consume(broker)
    (in_batch,) = set(DeadLetter.objects.values_list("fingerprint", flat=True))

    batch_handler(registry, ValueError("no"), guilty=(9,), retry=RetryPolicy(delays=()))
    member = Consumer("shipping")
    broker.incoming.append(record(9))
    member.run_once()
    member.close()
    assert DeadLetter.objects.get(message_key="9").fingerprint == in_batch


def test_the_messages_of_a_batch_whose_connection_breaks_in_a_decision_come_again(registry, broker, monkeypatch):
    """What no transaction has settled has no outcome, and its offset does not pass."""

    def gone(*_args, **_options):
        raise OperationalError("gone")

    batch_handler(registry, Skip("no need"))
    member = Consumer("shipping")
    broker.incoming += map(record, range(8))
    with monkeypatch.context() as patched:
        patched.setattr(failures, "_conclude", gone)
        patched.setattr(failures, "lost_connection", lambda error: True)
        with pytest.raises(OperationalError):
            member.run_once()
    assert [done.offset for done in broker.subscriptions[-1].committed] == [GUILTY - 1]

    member.run_once()
    member.close()
    assert outcomes() == {str(GUILTY): ("skipped", "no need")}
    assert boxes() == INNOCENT
