import threading
from datetime import timedelta

import pytest
from django.db import connections

from django_dlq import burial, deadletters, outbox, signals
from django_dlq.exceptions import Expired, IllegalTransition, MessageRefused
from django_dlq.fingerprint import Failure
from django_dlq.message import ReceivedMessage, Record
from django_dlq.models import DeadLetter, DeadLetterEvent, Kind, OutboxMessage, Source, State, database_now
from django_dlq.registry import Handler
from tests.letters import consumer_letter, relay_letter, timeline

pytestmark = pytest.mark.django_db


def pack(message):
    """Stand for a handler."""


HANDLER = Handler(function=pack, topics=("orders",), group="shipping", broker="events")
HEADERS = (("id", b"m-1"), ("dlq-message-key", b"order-1"), ("dlq-tag", b"paid"), ("trace", b"\xff"), ("nul\x00", None))
MINUTE = timedelta(minutes=1)


def received(**parts):
    parts = {"topic": "orders", "headers": HEADERS, "body": b"\x00\xff", "partition": 3, "offset": 7} | parts
    return ReceivedMessage.of(Record(**parts), "shipping")


def failure(cls=ValueError, text="no"):
    try:
        raise cls(text)
    except cls as error:
        return Failure.of(error, "shipping")


def bury(message=None, *, why=None, delay=MINUTE):
    return burial.bury_received(message or received(), why or failure(), handler=HANDLER, delay=delay)


def bury_unsent(row, why):
    (letter,) = burial.bury_unsent([(row, why)])
    return letter


class TestReceived:
    def test_everything_that_is_known_is_kept(self, settings):
        settings.DLQ_RELEASE = "v7"
        now = database_now("default")
        bury(received(key=b"\xff", timestamp=now))

        letter = DeadLetter.objects.get()
        assert (letter.source, letter.group, letter.handler) == (Source.CONSUMER, "shipping", "tests.test_burial.pack")
        assert (letter.message_id, letter.message_key, letter.tag) == ("m-1", "order-1", "paid")
        assert (letter.topic, letter.partition, letter.offset, letter.broker) == ("orders", 3, 7, "events")
        assert (letter.body_bytes, letter.key_bytes, letter.headers) == (b"\x00\xff", b"\xff", HEADERS)
        assert (letter.error_class, letter.error_message, letter.release) == ("ValueError", "no", "v7")
        assert letter.traceback.startswith("Traceback")
        assert (letter.attempts, letter.replays, letter.corrects) == (1, 0, None)
        assert abs(letter.sent_at - now) < timedelta(seconds=1)

    def test_a_letter_with_a_delay_will_be_retried(self):
        letter = bury(delay=MINUTE)

        assert letter.state == State.RETRYING
        assert timedelta(seconds=50) < letter.next_attempt_at - database_now("default") <= MINUTE

    def test_a_letter_without_a_delay_is_dead(self):
        letter = bury(delay=None)

        assert (letter.state, letter.next_attempt_at) == (State.DEAD, None)

    def test_a_tombstone_stays_one(self):
        assert bury(received(body=None)).body_bytes is None
        assert DeadLetter.objects.get().body_bytes is None

    def test_a_message_that_fails_again_keeps_its_one_letter(self):
        first = bury()
        second = bury(delay=timedelta(hours=1))

        assert first.pk == second.pk
        assert (second.attempts, second.state) == (2, State.RETRYING)
        assert second.next_attempt_at > first.next_attempt_at
        assert [event.data["attempt"] for event in second.events.all()] == [1, 2]

    def test_a_delivery_that_fails_says_nothing_of_the_retries_that_processes_died_of(self):
        letter = bury(delay=MINUTE)
        DeadLetter.objects.update(deaths=2)
        assert bury(delay=MINUTE).deaths == 2
        assert (bury(delay=None).deaths, DeadLetter.objects.get().state) == (0, State.DEAD)
        assert DeadLetter.objects.get() == letter

    def test_a_dead_letter_that_is_delivered_again_stays_dead(self):
        bury(delay=None)

        letter = bury(delay=MINUTE)
        assert (letter.state, letter.attempts, letter.next_attempt_at) == (State.DEAD, 2, None)

    def test_a_replay_that_fails_is_dead_again(self):
        letter = bury(delay=None)
        deadletters.replay(letter, actor="ana")

        again = bury(delay=MINUTE)
        assert (again.pk, again.state, again.replays) == (letter.pk, State.DEAD, 1)

    def test_a_settled_letter_is_left_alone_and_a_new_one_written(self):
        letter = bury(delay=None)
        deadletters.discard(letter, actor="ana", reason="a test")

        again = bury()
        assert again.pk != letter.pk
        assert DeadLetter.objects.get(pk=letter.pk).attempts == 1

    def test_the_traceback_is_told_only_when_the_cause_changes(self):
        for why in (failure(), failure(text="other words"), failure(KeyError), failure(KeyError), failure()):
            bury(why=why)

        events = DeadLetterEvent.objects.order_by("pk")
        assert ["traceback" in event.data for event in events] == [True, False, True, False, True]
        assert [event.data["error_message"] for event in events] == ["no", "other words", "'no'", "'no'", "no"]
        assert {event.actor_name for event in events} == {"consumer"}
        assert DeadLetter.objects.get().error_class == "ValueError"

    def test_an_error_with_a_very_long_name_fits(self):
        assert len(bury(why=failure(type("E" * 300, (Exception,), {}))).error_class) == 255

    def test_receivers_are_told(self):
        told = []

        def receiver(letter, **_):
            told.append(letter.pk)

        signals.message_failed.connect(receiver)
        try:
            letter = bury()
            bury()
            burial.fail_again(DeadLetter.objects.get(), failure(), delay=None)
        finally:
            signals.message_failed.disconnect(receiver)
        assert told == [letter.pk] * 3

    @pytest.mark.django_db(transaction=True)
    def test_one_message_that_fails_in_two_places_at_once_has_one_letter(self):
        together = threading.Barrier(2)
        letters = []

        def fail():
            try:
                together.wait(30)
                letters.append(bury().pk)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=fail) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        letter = DeadLetter.objects.get()
        assert letters == [letter.pk] * 2
        assert letter.attempts == letter.events.count() == 2

    def test_a_letter_that_appears_between_look_and_insert_is_found(self, monkeypatch):
        letter = bury()
        look = DeadLetter.objects.all().of_message
        looks = []

        def blind_at_first(self, group, message_key):
            looks.append(message_key)
            return self.none() if len(looks) == 1 else look(group, message_key)

        monkeypatch.setattr(type(DeadLetter.objects.all()), "of_message", blind_at_first)
        assert bury().pk == letter.pk
        assert DeadLetter.objects.get().attempts == 2


class TestUnsent:
    def test_the_row_becomes_a_letter(self):
        row = outbox.publish("orders", b"\xff", key="7", message_key="k", tag="t", headers={"a": b"\xff"})
        bury_unsent(row, failure())

        letter = DeadLetter.objects.get()
        assert (letter.state, letter.source, letter.group, letter.open_key) == (State.DEAD, Source.RELAY, "", None)
        assert (letter.message_id, letter.message_key, letter.tag) == (row.message_id, "k", "t")
        assert (letter.body_bytes, letter.key, letter.headers) == (b"\xff", "7", (("a", b"\xff"),))
        assert not OutboxMessage.objects.exists()
        assert timeline(letter) == [(Kind.FAILED, "relay")]

    @pytest.mark.parametrize("make", [consumer_letter, relay_letter])
    def test_a_replay_that_cannot_be_sent_makes_its_letter_dead_again(self, make):
        letter = make()
        bury_unsent(deadletters.replay(letter, actor="ana"), failure(KeyError))

        letter = DeadLetter.objects.get()
        assert (letter.state, letter.error_class, letter.attempts) == (State.DEAD, "KeyError", 2)
        assert timeline(letter) == [(Kind.REPLAYED, "ana"), (Kind.FAILED, letter.source)]
        assert not OutboxMessage.objects.exists()

    def test_a_replay_keeps_its_group_if_its_letter_was_settled_meanwhile(self):
        letter = consumer_letter()
        row = deadletters.replay(letter, actor="ann")
        deadletters.restore(letter, actor="ben")
        unsent = bury_unsent(row, failure())
        assert (unsent.source, unsent.group) == (Source.RELAY, "shipping")

        again = deadletters.replay(unsent, actor="ann")
        assert ("dlq-group", b"shipping") in again.record().headers
        burial.resolve_replays([unsent.pk])
        unsent.refresh_from_db()
        assert unsent.state == State.RESOLVED

    def test_nothing_is_lost_if_the_letter_was_settled_meanwhile(self):
        letter = relay_letter()
        row = deadletters.replay(letter, actor="ana")
        deadletters.restore(letter, actor="ana")
        deadletters.discard(letter, actor="ana", reason="no longer wanted")
        other = bury_unsent(row, failure())

        assert (other.pk != letter.pk, other.state) == (True, State.DEAD)
        assert DeadLetter.objects.get(pk=letter.pk).state == State.DISCARDED

    @pytest.mark.parametrize(
        ("topic", "key", "why", "holds"),
        [
            ("ledger", "7", MessageRefused, True),
            ("ledger", None, MessageRefused, False),
            ("ledger", "7", Expired, False),
            ("orders", "7", MessageRefused, False),
        ],
    )
    def test_what_is_refused_holds_its_key_where_the_project_says_so(self, settings, topic, key, why, holds):
        settings.DLQ_HOLD_TOPICS = ["ledger"]
        letter = bury_unsent(outbox.publish(topic, {}, key=key), failure(why))

        assert letter.holds_key is holds
        assert list(DeadLetter.objects.holding()) == [letter] * holds

    def test_a_replay_that_is_refused_again_goes_on_holding_its_key(self, settings):
        letter = relay_letter(topic="ledger", key="7", holds_key=True)
        bury_unsent(deadletters.replay(letter, actor="ana"), failure(MessageRefused))
        assert DeadLetter.objects.get().holds_key

        other = relay_letter(topic="ledger", key="8")
        settings.DLQ_HOLD_TOPICS = ["ledger"]
        bury_unsent(deadletters.replay(other, actor="ana"), failure(MessageRefused))
        assert DeadLetter.objects.get(pk=other.pk).holds_key

    def test_a_replay_for_one_group_holds_nobody(self, settings):
        settings.DLQ_HOLD_TOPICS = ["*"]
        letter = consumer_letter(key="7")
        row = deadletters.replay(letter, actor="ana")
        bury_unsent(row, failure(MessageRefused))
        deadletters.discard(letter, actor="ana", reason="no longer wanted")
        unsent = bury_unsent(row, failure(MessageRefused))

        assert unsent.pk != letter.pk
        assert not DeadLetter.objects.holding().exists()


class TestRetries:
    def test_a_retry_that_fails_is_planned_again(self):
        letter = bury()
        burial.fail_again(letter, failure(KeyError), delay=timedelta(hours=1))

        letter = DeadLetter.objects.get()
        assert (letter.state, letter.attempts, letter.error_class) == (State.RETRYING, 2, "KeyError")
        assert letter.next_attempt_at - database_now("default") > MINUTE

    def test_the_last_retry_that_fails_ends_it(self):
        letter = bury()
        burial.fail_again(letter, failure(), delay=None)

        assert DeadLetter.objects.get().state == State.DEAD

    @pytest.mark.parametrize("delay", [MINUTE, None])
    def test_what_somebody_decided_meanwhile_stands(self, delay):
        letter, same = bury(), DeadLetter.objects.get()
        deadletters.discard(letter, actor="ana", reason="a test")

        with pytest.raises(IllegalTransition):
            burial.fail_again(same, failure(), delay=delay)
        assert [event.kind for event in letter.events.all()] == ["failed", "discarded"]


class TestOutcomes:
    def test_a_letter_whose_message_was_handled_is_resolved(self):
        letter = bury()
        burial.resolve(letter, actor="retries", reason="third time lucky")

        assert (letter.state, letter.closed_at is not None) == (State.RESOLVED, True)
        event = letter.events.last()
        assert (event.kind, event.actor_name, event.reason) == ("resolved", "retries", "third time lucky")

    def test_the_replays_of_a_group_are_resolved_and_no_others(self):
        mine = consumer_letter(State.REPLAYING, message_key="1")
        also_mine = consumer_letter(State.REPLAYING, message_key="2")
        dead = consumer_letter(State.DEAD, message_key="3")
        discarded = consumer_letter(State.DISCARDED, message_key="4")
        theirs = consumer_letter(State.REPLAYING, group="billing")
        unsent = relay_letter(State.REPLAYING)
        letters = [mine, also_mine, dead, discarded, theirs, unsent]
        for letter in letters:
            burial.resolve_replay_of(received(headers=(("id", letter.message_key.encode()),)), letter.pk)
        burial.resolve_replay_of(received(headers=(("id", b"1"),)), also_mine.pk)
        burial.resolve_replay_of(received(headers=(("id", b"1"),)), 10**17)

        for letter in letters:
            letter.refresh_from_db()
        assert [letter.state for letter in letters] == [
            "resolved", "resolved", "dead", "discarded", "replaying", "replaying",
        ]  # fmt: skip
        assert timeline(mine) == [(Kind.RESOLVED, "consumer")]
        assert timeline(theirs) == []

    def test_a_letter_whose_replay_was_sent_holds_its_key_no_longer(self):
        letter = relay_letter(State.REPLAYING, key="7", holds_key=True)
        burial.resolve_replays([letter.pk])

        assert not DeadLetter.objects.get().holds_key

    def test_without_a_group_the_replays_of_the_relay_are_resolved(self):
        unsent, theirs = relay_letter(State.REPLAYING), consumer_letter(State.REPLAYING)
        burial.resolve_replays([unsent.pk, theirs.pk, 10**17])

        assert {letter.source for letter in DeadLetter.objects.filter(state=State.RESOLVED)} == {"relay"}

    def test_a_letter_that_somebody_settles_in_between_is_passed_over(self, monkeypatch):
        letters = [relay_letter(State.REPLAYING, message_key=str(n)) for n in range(2)]
        resolve = burial.resolve

        def slow(letter, **arguments):
            if letter == letters[0]:
                DeadLetter.objects.filter(pk=letter.pk).update(state=State.DEAD)
            resolve(letter, **arguments)

        monkeypatch.setattr(burial, "resolve", slow)
        burial.resolve_replays([letter.pk for letter in letters])

        assert [letter.state for letter in DeadLetter.objects.order_by("pk")] == ["dead", "resolved"]
