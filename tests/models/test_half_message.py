from datetime import timedelta

import pytest
from django.db import transaction

from django_dlq import outbox
from django_dlq.exceptions import DecidedOtherwise, IllegalTransition, UnknownHalfMessage
from django_dlq.models import (
    HALF_TRANSITIONS,
    Answer,
    DecidedBy,
    HalfMessage,
    HalfMessageCheck,
    HalfState,
    OutboxMessage,
    database_now,
)
from django_dlq.models import half_message as module
from django_dlq.outbox import Verdict

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("charge")]


@pytest.fixture
def charge(no_checkers):
    outbox.checker("charge")(lambda _: Verdict.UNKNOWN)


def prepared(**columns):
    half = outbox.prepare("payments", {"order": 7}, checker="charge")
    HalfMessage.objects.filter(pk=half.pk).update(**columns)
    return HalfMessage.objects.get(pk=half.pk)


def test_a_commit_writes_the_message_as_it_was_prepared():
    half = outbox.prepare(
        "payments",
        {"ü": 1},
        checker="charge",
        key="7",
        message_key="charge-7",
        tag="paid",
        headers=[("trace", "a"), ("trace", b"\xff"), ("none", None)],
        delay=timedelta(hours=1),
        expires_in=timedelta(hours=2),
        priority=5,
    )

    row = OutboxMessage.objects.get(pk=outbox.half(half.message_id).commit().pk)

    assert (row.message_id, row.message_key, row.topic, row.key) == (half.message_id, "charge-7", "payments", "7")
    assert (row.tag, row.priority, row.broker, row.body_bytes) == ("paid", 5, "default", '{"ü":1}'.encode())
    assert row.headers == (("trace", b"a"), ("trace", b"\xff"), ("none", None))
    assert row.expires_at - row.due_at == timedelta(hours=1)
    assert row.due_at > database_now("default") + timedelta(minutes=59)
    assert row.letter_id is None


def test_a_commit_says_who_decided_and_when():
    half = prepared()

    half.commit()

    assert (half.state, half.decided_by, half.is_open) == (HalfState.COMMITTED, DecidedBy.PROCESS, False)
    found = HalfMessage.objects.get(pk=half.pk)
    assert (found.state, found.decided_at, found.next_check_at) == (HalfState.COMMITTED, half.decided_at, None)
    assert abs(found.decided_at - database_now("default")) < timedelta(seconds=60)


def test_what_was_rolled_back_is_never_sent():
    half = prepared()

    half.rollback(by=DecidedBy.PERSON, actor_name="ann", reason=" the card was refused ")

    found = HalfMessage.objects.get(pk=half.pk)
    assert (found.state, found.decided_by) == (HalfState.ROLLED_BACK, DecidedBy.PERSON)
    assert (found.actor_name, found.reason) == ("ann", "the card was refused")
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize("verb", ["commit", "rollback"])
def test_the_same_decision_twice_is_one(verb):
    half = prepared()
    first, second = outbox.half(half.message_id), outbox.half(half.message_id)
    getattr(first, verb)(reason="first")

    assert not getattr(second, verb)(reason="second")
    assert second.state == first.state
    assert HalfMessage.objects.get(pk=half.pk).reason == "first"
    assert OutboxMessage.objects.count() == (1 if verb == "commit" else 0)


@pytest.mark.parametrize(("first", "second"), [("commit", "rollback"), ("rollback", "commit")])
def test_the_other_decision_is_too_late(first, second):
    half = prepared()
    getattr(outbox.half(half.message_id), first)()
    sent = OutboxMessage.objects.count()

    with pytest.raises(DecidedOtherwise, match=f"by process at .*, so it is too late to {second} it"):
        getattr(half, second)()
    assert not half.is_open
    assert OutboxMessage.objects.count() == sent


@pytest.mark.parametrize("verb", ["commit", "rollback"])
def test_what_retention_has_deleted_cannot_be_decided(verb):
    half = prepared()
    HalfMessage.objects.all().delete()

    with pytest.raises(UnknownHalfMessage, match=half.message_id):
        getattr(half, verb)()
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize("state", HalfState)
@pytest.mark.parametrize("verb", HALF_TRANSITIONS)
def test_each_verb_leaves_only_the_states_of_its_row(verb, state):
    half = prepared(state=state)
    sources, target = HALF_TRANSITIONS[verb]

    assert half._move(verb) is (state in sources)
    assert HalfMessage.objects.get(pk=half.pk).state == (target if state in sources else state)


def test_an_undecided_one_is_asked_about_again():
    half = prepared(state=HalfState.UNDECIDED, checks=15, next_check_at=None)

    half.ask_again()

    assert (half.state, half.checks, half.checks_left) == (HalfState.PREPARED, 0, 15)
    assert list(HalfMessage.objects.due()) == [half]
    with pytest.raises(IllegalTransition, match="not undecided"):
        half.ask_again()


def test_what_is_due_is_found_in_its_order():
    first, second = prepared(), prepared()
    now = database_now("default")
    HalfMessage.objects.filter(pk=first.pk).update(next_check_at=now - timedelta(seconds=1))
    HalfMessage.objects.filter(pk=second.pk).update(next_check_at=now - timedelta(seconds=2))
    prepared(next_check_at=now + timedelta(minutes=1))
    outbox.half(prepared(next_check_at=now).message_id).commit()

    assert list(HalfMessage.objects.due()) == [second, first]
    assert HalfMessage.objects.open().count() == 3
    assert HalfMessage.objects.decided().count() == 1


def test_checks_left_is_never_less_than_none():
    assert HalfMessage(checks=4, most_checks=3).checks_left == 0
    assert str(HalfMessage(topic="payments", message_key="charge-7")) == "payments charge-7"


def test_a_line_of_the_timeline_is_never_changed():
    check = HalfMessageCheck.objects.create(half=prepared(), answer=Answer.UNKNOWN)

    with pytest.raises(IllegalTransition, match="never changed"):
        check.save()
    assert str(check) == f"{check.half_id} unknown"


def test_each_decision_is_told_once(django_capture_on_commit_callbacks):
    told = []
    module.signals.half_message_decided.connect(lambda half, **_: told.append(half.state), weak=False)
    receivers = module.signals.half_message_decided.receivers
    half = prepared()
    try:
        with django_capture_on_commit_callbacks(execute=True):
            half.commit()
            outbox.half(half.message_id).commit()
    finally:
        receivers.pop()

    assert told == [HalfState.COMMITTED]


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    def test_a_commit_inside_atomic_vanishes_with_it(self):
        half = prepared()
        with transaction.atomic():
            half.commit()
            transaction.set_rollback(True)

        assert HalfMessage.objects.get(pk=half.pk).is_open
        assert not OutboxMessage.objects.exists()
        assert half.commit() is not None

    def test_a_late_commit_dooms_the_transaction_around_it_even_if_it_is_caught(self):
        half, other = prepared(), prepared()
        outbox.half(half.message_id).rollback(by=DecidedBy.CHECK)

        with transaction.atomic():
            other.commit()  # stands for the application's own rows
            with pytest.raises(DecidedOtherwise, match="rolled back by check"):
                half.commit()

        assert HalfMessage.objects.get(pk=other.pk).is_open
        assert not OutboxMessage.objects.exists()

    def test_a_savepoint_of_the_callers_own_limits_what_is_doomed(self):
        half, other = prepared(), prepared()
        outbox.half(half.message_id).rollback(by=DecidedBy.CHECK)

        with transaction.atomic():
            other.commit()
            with pytest.raises(DecidedOtherwise), transaction.atomic():
                half.commit()

        assert OutboxMessage.objects.get().message_id == other.message_id
