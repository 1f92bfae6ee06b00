from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_dlq import outbox
from django_dlq.exceptions import (
    BodyNotSerializable,
    DecidedOtherwise,
    InsideTransaction,
    InvalidMessage,
    MessageTooLarge,
    UnknownChecker,
    UnknownHalfMessage,
)
from django_dlq.models import DecidedBy, HalfMessage, HalfState, OutboxMessage, database_now
from django_dlq.outbox import Verdict

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("charge")]


@pytest.fixture
def charge(no_checkers):
    outbox.checker("charge")(lambda _: Verdict.UNKNOWN)


def prepare(**options):
    return outbox.prepare("payments", {"order": 7}, **{"checker": "charge", **options})


def half_message(**options):
    return outbox.half_message("payments", {"order": 7}, **{"checker": "charge", **options})


def test_what_is_prepared_is_not_in_the_outbox():
    half = prepare(key="7", tag="paid")

    found = HalfMessage.objects.get()
    assert (found.pk, found.message_id, found.message_key) == (half.pk, half.message_id, half.message_id)
    assert (found.topic, found.key, found.tag, found.body_bytes) == ("payments", "7", "paid", b'{"order":7}')
    assert (found.state, found.checker, found.checks, found.checks_left) == (HalfState.PREPARED, "charge", 0, 15)
    assert (found.decided_at, found.decided_by, found.producer, found.idempotency_key) == (None, "", "", None)
    assert not OutboxMessage.objects.exists()


def test_checks_come_as_rocketmqs_do_unless_told_otherwise():
    half = prepare()

    assert half.next_check_at - half.prepared_at == timedelta(seconds=6)
    assert (half.check_every, half.most_checks) == (timedelta(seconds=30), 15)


def test_the_settings_say_when_checks_come(settings):
    settings.DLQ_CHECKBACK_AFTER = timedelta(minutes=1)
    settings.DLQ_CHECKBACK_EVERY = timedelta(minutes=2)
    settings.DLQ_CHECKBACK_MOST = 3
    half = prepare()

    assert half.next_check_at - half.prepared_at == timedelta(minutes=1)
    assert (half.check_every, half.most_checks) == (timedelta(minutes=2), 3)


def test_each_message_may_say_when_its_checks_come():
    half = prepare(check_after=timedelta(0), check_every=timedelta(hours=1), most_checks=1)

    assert half.next_check_at == half.prepared_at
    assert (half.check_every, half.most_checks) == (timedelta(hours=1), 1)
    assert half.prepared_at - database_now("default") < timedelta(seconds=60)


@pytest.mark.parametrize("name", ["check_after", "check_every"])
@pytest.mark.parametrize("span", [5, timedelta(seconds=-1), timedelta.max])
def test_a_span_that_no_database_can_add_is_refused(name, span):
    with pytest.raises(InvalidMessage, match=name):
        prepare(**{name: span})
    assert not HalfMessage.objects.exists()


@pytest.mark.parametrize("most", [0, -1, True, 1.5, "3", 1_000_001])
def test_a_number_of_checks_is_above_none(most):
    with pytest.raises(InvalidMessage, match="most_checks"):
        prepare(most_checks=most)


def test_a_checker_that_nobody_has_registered_is_refused_at_once():
    with pytest.raises(UnknownChecker, match="'refund'; the checkers are: charge"):
        prepare(checker="refund")
    assert not HalfMessage.objects.exists()


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"priority": 10}, InvalidMessage),
        ({"broker": "other"}, InvalidMessage),
        ({"headers": {"id": "1"}}, InvalidMessage),
        ({"headers": {"a": "b" * 1_000_000}}, MessageTooLarge),
    ],
)
def test_what_could_not_be_published_cannot_be_prepared(options, refusal):
    with pytest.raises(refusal):
        prepare(**options)
    assert not HalfMessage.objects.exists()


def test_a_body_that_cannot_travel_is_refused():
    with pytest.raises(BodyNotSerializable):
        outbox.prepare("payments", None, checker="charge")


def test_another_process_finds_it_by_its_id():
    half = prepare()

    assert outbox.half(half.message_id) == half
    with pytest.raises(UnknownHalfMessage, match="'nobody'"):
        outbox.half("nobody")


def test_the_block_commits_at_its_end():
    with half_message() as half:
        assert not OutboxMessage.objects.exists()

    assert OutboxMessage.objects.get().message_id == half.message_id


def test_the_block_rolls_back_after_an_exception_and_keeps_its_text():
    with pytest.raises(ValueError, match="refused"), half_message() as half:
        raise ValueError("the card was refused")

    found = HalfMessage.objects.get(pk=half.pk)
    assert (found.state, found.reason) == (HalfState.ROLLED_BACK, "ValueError: the card was refused")


@pytest.mark.parametrize("error", [TimeoutError, ConnectionResetError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_does_not_tell_whether_it_was_done_is_left_to_the_checker(error):
    with pytest.raises(error), half_message():
        raise error

    assert HalfMessage.objects.get().state == HalfState.PREPARED


def test_the_block_may_say_what_does_not_tell():
    with pytest.raises(KeyError), half_message(unknown_after=(LookupError,)):
        raise KeyError
    with pytest.raises(TimeoutError), half_message(unknown_after=()):
        raise TimeoutError

    assert list(HalfMessage.objects.order_by("pk").values_list("state", flat=True)) == ["prepared", "rolled_back"]


def test_what_the_block_has_decided_itself_stays():
    with half_message() as committed:
        committed.commit()
    with half_message() as refused:
        refused.rollback()

    assert HalfMessage.objects.get(pk=refused.pk).state == HalfState.ROLLED_BACK
    assert OutboxMessage.objects.get().message_id == committed.message_id


def test_the_end_of_a_block_that_was_decided_otherwise_says_so():
    with pytest.raises(DecidedOtherwise, match="rolled back by check"), half_message() as half:
        outbox.half(half.message_id).rollback(by=DecidedBy.CHECK)


def test_an_exception_of_a_block_that_a_check_has_committed_is_raised_with_a_note():
    def work():
        with half_message() as half:
            outbox.half(half.message_id).commit(by=DecidedBy.CHECK)
            raise ValueError("late")

    with pytest.raises(ValueError, match="late") as caught:
        work()

    assert "was committed by check" in caught.value.__notes__[0]
    assert OutboxMessage.objects.count() == 1


def test_an_exception_is_raised_even_if_the_database_is_gone(monkeypatch):
    def rollback(self, **_):
        raise OperationalError("the database is gone")

    monkeypatch.setattr(HalfMessage, "rollback", rollback)
    with pytest.raises(ValueError, match="refused"), half_message():
        raise ValueError("refused")

    assert HalfMessage.objects.get().state == HalfState.PREPARED


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    def test_inside_a_transaction_nothing_can_be_prepared(self):
        with pytest.raises(InsideTransaction, match="non_atomic_requests"), transaction.atomic():
            prepare()
        with pytest.raises(InsideTransaction), transaction.atomic(), half_message():
            pass
        assert not HalfMessage.objects.exists()

    def test_it_is_durable_with_one_statement(self):
        with CaptureQueriesContext(connection) as queries:
            half = prepare()

        assert [query["sql"].split()[0] for query in queries] == ["INSERT"]
        assert half.pk is not None
