import sys
import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connections, transaction

from django_dlq import consumer, deadletters, failures, inbox, signals
from django_dlq.exceptions import IllegalTransition, Reject, RetryLater, Skip
from django_dlq.inbox import Compensate, Decision
from django_dlq.message import ReceivedMessage, Record
from django_dlq.models import DeadLetter, DeadLetterEvent, InboxMessage, Outcome, State, in_future
from django_dlq.retries import Retries
from django_dlq.retry_policy import RetryPolicy
from tests.letters import consumer_letter, replay_record, timeline
from tests.services.process import wait_for
from tests.shop.models import Box, Order

pytestmark = pytest.mark.django_db

ONCE = RetryPolicy(delays=())
TWICE = RetryPolicy(delays=[timedelta(seconds=1)])


def record(message_key="order-1", **parts):
    headers = (("id", b"m-1"), ("dlq-message-key", message_key.encode()))
    return Record(**{"topic": "orders", "body": b"{}", "partition": 0, "offset": 0, "headers": headers} | parts)


def settle(*records):
    for each in records or [record()]:
        consumer.settle("shipping", each)


def handled_by(registry, error, **options):
    """Register a handler that packs a box and then fails; return the messages that it was called with."""
    seen = []

    def pack(message):
        seen.append(message)
        Box.objects.create(order=message.message_key)
        raise error

    registry.handlers.clear()
    inbox.handler("orders", group="shipping", **options)(pack)
    return seen


def cancel(message, error):
    Order.objects.create(number=f"{message.message_key} cancelled: {error}")


def cancelled():
    return list(Order.objects.order_by("pk").values_list("number", flat=True))


def due(**columns):
    return consumer_letter(State.RETRYING, next_attempt_at=in_future(timedelta(seconds=-60)), **columns)


def inbox_rows():
    return list(InboxMessage.objects.values_list("message_key", "outcome", "reason"))


@pytest.fixture
def skipped():
    """Collect what is said of messages that were skipped."""
    told = []

    def receiver(message, why, reason="", **_):
        told.append((message.message_key, why, reason))

    signals.message_skipped.connect(receiver)
    yield told
    signals.message_skipped.disconnect(receiver)


class TestDead:
    def test_a_rule_makes_a_message_dead_at_once(self, registry):
        handled_by(registry, ValueError("no"), on_failure={ValueError: Decision.DEAD})
        settle()

        assert DeadLetter.objects.get().state == State.DEAD

    def test_a_rule_ends_retries_too(self, registry):
        handled_by(registry, ValueError("no"), on_failure=lambda message, error: Decision.DEAD)
        letter = due()
        Retries().run_once()

        letter.refresh_from_db()
        assert (letter.state, letter.attempts) == (State.DEAD, 2)

    def test_to_retry_means_what_the_policy_says(self, registry):
        rule = {Exception: Decision.RETRY}
        handled_by(registry, ValueError("no"), on_failure=rule, retry=TWICE)
        settle()
        handled_by(registry, ValueError("no"), on_failure=rule, retry=ONCE)
        settle(record("order-2"))

        assert list(DeadLetter.objects.order_by("pk").values_list("state", flat=True)) == ["retrying", "dead"]


class TestSkip:
    def test_a_skipped_message_is_kept_in_the_inbox_with_its_reason_and_is_no_dead_letter(self, registry, skipped):
        seen = handled_by(registry, Skip("sent before\nwe began"))
        settle(record(), record(offset=9))

        assert inbox_rows() == [("order-1", "skipped", "sent before we began")]
        assert not DeadLetter.objects.exists()
        assert not Box.objects.exists()
        assert len(seen) == 1
        assert skipped == [("order-1", "decision", "sent before we began"), ("order-1", "duplicate", "")]

    @pytest.mark.parametrize(
        ("error", "reason"),
        [(KeyError("a"), "KeyError: 'a'"), (KeyError(), "KeyError"), (Skip(), "django_dlq.exceptions.Skip")],
    )
    def test_a_rule_may_skip_and_then_the_error_is_the_reason(self, registry, error, reason):
        handled_by(registry, error, on_failure={KeyError: Decision.SKIP})
        settle()

        assert inbox_rows() == [("order-1", Outcome.SKIPPED, reason)]

    def test_a_reason_that_no_database_could_store_is_stored_readably(self, registry):
        handled_by(registry, Skip("nul \x00, half \ud83d"))
        settle()

        assert inbox_rows() == [("order-1", "skipped", "nul \\x00, half \\ud83d")]

    def test_a_retry_that_skips_settles_its_letter(self, registry, skipped):
        handled_by(registry, Skip("not ours"))
        letter = due()
        Retries().run_once()

        letter.refresh_from_db()
        assert (letter.state, timeline(letter)) == (State.RESOLVED, [("skipped", "retries")])
        assert DeadLetterEvent.objects.get().reason == "not ours"
        assert inbox_rows() == [("order-1", "skipped", "not ours")]
        assert skipped == [("order-1", "decision", "not ours")]

    @pytest.mark.parametrize("state", [State.RETRYING, State.DEAD])
    def test_a_delivery_that_skips_settles_the_open_letter_of_its_message(self, registry, state):
        handled_by(registry, Skip("not ours"))
        letter = consumer_letter(state, next_attempt_at=in_future(timedelta(1)))
        settle()

        letter.refresh_from_db()
        assert (letter.state, timeline(letter)) == (State.RESOLVED, [("skipped", "consumer")])

    def test_a_replay_that_skips_comes_back_to_its_letter(self, registry):
        handled_by(registry, Skip("not ours"))
        letter = consumer_letter()
        deadletters.replay(letter, actor="ana")
        settle(replay_record(letter))

        letter.refresh_from_db()
        assert (letter.state, timeline(letter)) == (State.RESOLVED, [("replayed", "ana"), ("skipped", "consumer")])


class TestTimeLimit:
    """What is called beside a handler has its time limit too."""

    def late(self, message, error):
        wait_for(lambda: False, seconds=0.05)
        return Decision.DEAD if Order.objects.exists() else Decision.SKIP

    @pytest.mark.parametrize("which", ["rule", "compensation"])
    def test_it_fails_at_its_next_statement_after_the_limit(self, registry, which):
        rule = self.late if which == "rule" else {ValueError: Compensate(self.late)}
        handled_by(registry, ValueError("no stock"), on_failure=rule, timeout=timedelta(seconds=0.01))
        settle()

        letter = DeadLetter.objects.get()
        assert (letter.state, letter.error_class) == (State.RETRYING, "django_dlq.exceptions.TimeLimitExceeded")
        assert "no stock" in letter.traceback
        assert inbox_rows() == []


class TestCompensate:
    def test_a_compensation_runs_once_and_a_letter_says_what_failed_and_what_made_it_good(self, registry):
        seen = handled_by(registry, ValueError("no stock"), on_failure={ValueError: Compensate(cancel)})
        settle(record(), record(offset=9))

        assert cancelled() == ["order-1 cancelled: no stock"]
        assert not Box.objects.exists()
        assert len(seen) == 1
        assert inbox_rows() == [("order-1", "compensated", "ValueError: no stock")]
        letter = DeadLetter.objects.get()
        assert (letter.state, letter.error_message, letter.attempts) == (State.COMPENSATED, "no stock", 1)
        assert (letter.is_open, letter.open_key) == (False, None)
        assert letter.closed_at is not None
        assert timeline(letter) == [("failed", "consumer"), ("compensated", "consumer")]
        assert letter.events.get(kind="compensated").data == {"by": f"{__name__}.cancel"}

    def test_a_retry_that_is_compensated_closes_its_letter(self, registry):
        handled_by(registry, ValueError("no stock"), on_failure={ValueError: Compensate(cancel)})
        letter = due(error_message="another error")
        Retries().run_once()

        letter.refresh_from_db()
        assert (letter.state, letter.error_message, letter.attempts) == (State.COMPENSATED, "no stock", 2)
        assert timeline(letter) == [("failed", "consumer"), ("compensated", "retries")]
        assert cancelled() == ["order-1 cancelled: no stock"]
        assert Retries().run_once() == 0

    def test_a_replay_that_is_compensated_closes_its_letter(self, registry):
        handled_by(registry, ValueError("no stock"), on_failure={ValueError: Compensate(cancel)})
        letter = consumer_letter()
        deadletters.replay(letter, actor="ana")
        settle(replay_record(letter), replay_record(letter))

        letter.refresh_from_db()
        assert letter.state == State.COMPENSATED
        assert cancelled() == ["order-1 cancelled: no stock"]

    def test_what_was_compensated_cannot_be_sent_again(self, registry):
        handled_by(registry, ValueError("no stock"), on_failure={ValueError: Compensate(cancel)})
        settle()

        for verb in (deadletters.replay, deadletters.restore):
            with pytest.raises(IllegalTransition):
                verb(DeadLetter.objects.get(), actor="ana", reason="really")

    def test_a_compensation_after_the_retries_comes_in_place_of_the_dead_letter(self, registry):
        seen = handled_by(
            registry, ValueError("no"), retry=TWICE, on_failure={ValueError: Compensate(cancel, after_retries=True)}
        )
        settle()
        letter = DeadLetter.objects.get()
        assert (letter.state, cancelled()) == (State.RETRYING, [])

        DeadLetter.objects.update(next_attempt_at=in_future(timedelta(0)))
        Retries().run_once()
        letter.refresh_from_db()
        assert (letter.state, cancelled(), len(seen)) == (State.COMPENSATED, ["order-1 cancelled: no"], 2)

    def test_a_handler_that_gives_up_itself_is_compensated_too_where_the_rule_names_it(self, registry):
        handled_by(registry, Reject("no such street"), on_failure={Reject: Compensate(cancel, after_retries=True)})
        settle()

        assert cancelled() == ["order-1 cancelled: no such street"]

    def test_a_compensation_that_fails_leaves_nothing_and_is_retried_with_its_own_cause(self, registry):
        def fails(message, error):
            cancel(message, error)
            raise ConnectionError("the shop does not answer")

        handled_by(registry, ValueError("no stock"), retry=TWICE, on_failure={ValueError: Compensate(fails)})
        settle()

        letter = DeadLetter.objects.get()
        assert (letter.state, letter.error_class) == (State.RETRYING, "ConnectionError")
        assert "ValueError: no stock" in letter.traceback
        assert (cancelled(), inbox_rows()) == ([], [])

        handled_by(registry, ValueError("no stock"), retry=TWICE, on_failure={ValueError: Compensate(cancel)})
        DeadLetter.objects.update(next_attempt_at=in_future(timedelta(0)))
        Retries().run_once()
        letter.refresh_from_db()
        assert (letter.state, cancelled()) == (State.COMPENSATED, ["order-1 cancelled: no stock"])

    @pytest.mark.parametrize(
        ("trouble", "state"),
        [(Reject("in vain"), "dead"), (SystemExit(3), "retrying"), (RetryLater("busy"), "retrying")],
    )
    def test_a_compensation_decides_as_a_handler_does(self, registry, trouble, state):
        def fails(message, error):
            raise trouble

        handled_by(registry, ValueError("no"), on_failure={ValueError: Compensate(fails)})
        settle()

        assert DeadLetter.objects.get().state == state

    def test_a_retry_whose_compensation_fails_counts_one_attempt(self, registry):
        def fails(message, error):
            raise KeyError("unknown")

        handled_by(registry, ValueError("no"), on_failure={ValueError: Compensate(fails)}, retry=TWICE)
        letter = due()
        Retries().run_once()

        letter.refresh_from_db()
        assert (letter.state, letter.attempts, letter.error_class) == (State.DEAD, 2, "KeyError")

    def test_what_another_process_has_handled_meanwhile_is_not_compensated(self, registry, skipped):
        handled_by(registry, ValueError("no"), on_failure=handled_elsewhere)
        settle()

        assert cancelled() == []
        assert inbox_rows() == [("order-1", "handled", None)]
        assert not DeadLetter.objects.exists()
        assert skipped == [("order-1", "duplicate", "")]

    def test_a_retry_of_what_another_process_has_handled_meanwhile_settles_its_letter(self, registry):
        handled_by(registry, ValueError("no"), on_failure=handled_elsewhere)
        letter = due()
        Retries().run_once()

        letter.refresh_from_db()
        assert (letter.state, cancelled()) == (State.RESOLVED, [])

    @pytest.mark.parametrize("choice", [Compensate(cancel), Decision.SKIP, Decision.DEAD])
    def test_what_somebody_did_during_the_attempt_stands(self, registry, choice):
        def discarded_meanwhile(message, error):
            deadletters.discard(DeadLetter.objects.get(), actor="ana", reason="a test order")
            return choice

        handled_by(registry, ValueError("no"), on_failure=discarded_meanwhile)
        letter = due()
        assert Retries().run_once() == 1

        letter.refresh_from_db()
        assert (letter.state, cancelled(), inbox_rows()) == (State.DISCARDED, [], [])

    def test_ctrl_c_and_a_database_that_is_gone_are_no_failures_of_a_compensation(self, registry, monkeypatch):
        trouble = KeyboardInterrupt()

        def fails(message, error):
            raise trouble

        handled_by(registry, ValueError("no"), on_failure={ValueError: Compensate(fails)})
        with pytest.raises(KeyboardInterrupt):
            settle()
        monkeypatch.setattr(failures, "lost_connection", lambda error: isinstance(error, OperationalError))
        trouble = OperationalError("gone")
        with pytest.raises(OperationalError):
            settle()
        assert not DeadLetter.objects.exists()


def handled_elsewhere(message, error):
    with transaction.atomic():
        assert InboxMessage.objects.claim(message, message.group)
    return Compensate(cancel)


class TestRule:
    @pytest.mark.parametrize(
        ("rule", "error_class"),
        [(lambda message, error: 1 / 0, "ZeroDivisionError"), (lambda message, error: "dead", "TypeError")],
    )
    def test_a_rule_that_fails_is_the_failure_that_the_letter_shows(self, registry, rule, error_class):
        handled_by(registry, ValueError("the first"), on_failure=rule)
        settle()

        letter = DeadLetter.objects.get()
        assert (letter.state, letter.error_class) == (State.RETRYING, error_class)
        assert "ValueError: the first" in letter.traceback


class TestFingerprint:
    def causes(self):
        return [letter.fingerprint for letter in DeadLetter.objects.order_by("pk")]

    def test_a_handler_may_say_what_has_one_cause(self, registry):
        by_text = {"fingerprint": lambda message, error: str(error)[:3]}
        handled_by(registry, ValueError("E17 at 9:00"), **by_text)
        settle(record("1"))
        handled_by(registry, KeyError("17"), **by_text)
        settle(record("2"))
        handled_by(registry, ConnectionError("E17 at 9:05"), **by_text)
        settle(record("3"))

        one, other, same = self.causes()
        assert one == same != other
        assert len(one) == 32

    def test_it_is_given_the_message_and_the_error(self, registry):
        seen = handled_by(registry, ValueError("no"), fingerprint=lambda *given: asked.append(given) or "x")
        asked = []
        settle()

        assert [(message.message_key, str(error)) for message, error in asked] == [("order-1", "no")]
        assert len(seen) == 1

    @pytest.mark.parametrize(
        ("made", "note"),
        [
            (lambda message, error: 1 / 0, "failed with ZeroDivisionError"),
            (lambda message, error: sys.exit(3), "failed with SystemExit"),
            (lambda message, error: 17, "is not text but int"),
        ],
    )
    def test_one_that_cannot_be_had_leaves_the_usual_one_and_a_note(self, registry, made, note):
        handled_by(registry, ValueError("no"))
        settle(record("1"))
        handled_by(registry, ValueError("no"), fingerprint=made)
        settle(record("2"))

        one, same = self.causes()
        assert one == same
        assert note in DeadLetter.objects.latest("pk").traceback

    def test_ctrl_c_stops_there_too(self, registry):
        def interrupted(message, error):
            raise KeyboardInterrupt

        handled_by(registry, ValueError("no"), fingerprint=interrupted)
        with pytest.raises(KeyboardInterrupt):
            settle()

    def test_any_text_will_do(self, registry):
        handled_by(registry, ValueError("no"), fingerprint=lambda message, error: "\x00\ud83d" * 1000)
        settle()

        assert len(self.causes()[0]) == 32


@pytest.mark.parametrize(
    "wrong", [{"on_failure": "dead"}, {"on_failure": {KeyError: None}}, {"fingerprint": "text"}], ids=str
)
def test_mistakes_are_found_where_the_handler_is_written(wrong):
    with pytest.raises(TypeError, match="|".join(wrong)):
        inbox.handler("orders", group="shipping", **wrong)


@pytest.mark.django_db(transaction=True)
def test_two_deliveries_and_a_retry_at_once_compensate_once(registry):
    together = threading.Barrier(3)

    def fails(message):
        raise ValueError("no stock")

    def rule(message, error):
        together.wait(30)  # each of the three has failed, and none has decided
        return Compensate(cancel)

    inbox.handler("orders", group="shipping", on_failure=rule)(fails)
    due()

    def run(work):
        try:
            work()
        finally:
            connections.close_all()

    works = [settle, settle, Retries().run_once]
    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert cancelled() == ["order-1 cancelled: no stock"]
    assert inbox_rows() == [("order-1", "compensated", "ValueError: no stock")]
    assert not DeadLetter.objects.open().exists()
    assert DeadLetter.objects.filter(state=State.COMPENSATED).count() == 1


def test_a_failure_may_be_settled_without_a_consumer(registry):
    handled_by(registry, ValueError("no"))
    message = ReceivedMessage.of(record(), "shipping")
    failures.settle(message, registry.handlers[0], ValueError("no"))

    assert DeadLetter.objects.get().state == State.RETRYING
