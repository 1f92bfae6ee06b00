import asyncio
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from django_dlq import burial, consumer, deadletters, inbox, signals
from django_dlq.connections import close_connections
from django_dlq.consumer import Consumer
from django_dlq.consuming import settling
from django_dlq.exceptions import BrokerUnavailable, Reject, RetryLater, UnknownHandler
from django_dlq.message import Record
from django_dlq.models import DeadLetter, InboxMessage, State, database_now
from django_dlq.retry_policy import RetryPolicy
from tests.letters import consumer_letter, relay_letter, replay_record, timeline
from tests.shop.models import Box

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(registry, broker):
    """Register a handler that packs a box for each message, in the group `shipping`."""
    inbox.handler("orders", group="shipping")(pack)
    return broker


@pytest.fixture
def skipped():
    """Collect why messages were skipped."""
    reasons = []

    def receiver(message, why, **_):
        reasons.append((message.message_key, why))

    signals.message_skipped.connect(receiver)
    yield reasons
    signals.message_skipped.disconnect(receiver)


def pack(message):
    Box.objects.create(order=message.message_key)


def record(message_key="order-1", *more, offset=0, **parts):
    headers = (("id", f"id of {message_key}".encode()), ("dlq-message-key", message_key.encode()), *more)
    return Record(**{"topic": "orders", "body": b"{}", "partition": 0, "offset": offset, "headers": headers} | parts)


def consume(broker, *records, group="shipping"):
    member = Consumer(group)
    broker.incoming += records
    settled = member.run_once()
    member.close()
    return settled


def boxes():
    return list(Box.objects.order_by("pk").values_list("order", flat=True))


def handled_by(registry, function, **options):
    registry.handlers.clear()
    inbox.handler("orders", group="shipping", **options)(function)


def raising(error):
    def handle(message):
        pack(message)
        raise error

    return handle


class TestMembership:
    def test_a_group_without_a_handler_is_a_mistake_that_names_the_groups(self, shop):
        with pytest.raises(UnknownHandler, match=r"'shiping'; the groups are: shipping"):
            Consumer("shiping")

    def test_without_any_handler_the_mistake_says_so(self, registry):
        with pytest.raises(UnknownHandler, match="the groups are: none"):
            Consumer("shipping")

    def test_a_member_subscribes_once_to_every_topic_of_its_group(self, shop):
        inbox.handler("bills", "orders", group="billing")(boxes)
        inbox.handler("refunds", group="billing")(record)
        member = Consumer("billing")
        assert shop.subscriptions == []
        member.run_once()
        member.run_once(timeout=0.25)

        (subscription,) = shop.subscriptions
        assert (subscription.topics, subscription.group) == (["bills", "orders", "refunds"], "billing")
        assert shop.polls == [(20, 1.0), (20, 0.25)]  # with care, since nothing is known of the partitions

    def test_the_handlers_say_which_broker_it_is(self, registry, settings):
        inbox.handler("orders", group="shipping", broker="events")(pack)

        assert Consumer("shipping").broker == "events"

    def test_closing_leaves_the_group_and_forgets_what_is_in_hand(self, shop, monkeypatch):
        member = Consumer("shipping")
        member.close()
        monkeypatch.setattr(consumer, "SECONDS_BETWEEN_COMMITS", 0)
        shop.incoming += [record("1")]
        assert member.run_once() == 0
        member.close()
        assert shop.subscriptions[0].is_closed
        monkeypatch.undo()

        assert member.run_once() == 0
        assert len(shop.subscriptions) == 2
        assert boxes() == []


class TestOffsets:
    def test_offsets_are_committed_after_the_handlers_rows(self, shop):
        seen = []
        shop.before_commit = lambda records: seen.append((len(records), len(boxes()), InboxMessage.objects.count()))

        assert consume(shop, record("1"), record("2", offset=1)) == 2
        assert seen == [(1, 2, 2)]
        assert [done.offset for done in shop.subscriptions[0].committed] == [1]

    def test_offsets_are_committed_after_the_letter(self, registry, shop):
        handled_by(registry, raising(ValueError("no")))
        seen = []
        shop.before_commit = lambda records: seen.append(DeadLetter.objects.count())
        consume(shop, record())

        assert seen == [1]

    def test_with_nothing_settled_nothing_is_committed(self, shop):
        shop.before_commit = pytest.fail

        assert consume(shop) == 0

    def test_a_batch_has_its_size(self, shop, settings):
        settings.DLQ_CONSUMER_BATCH = 2
        member = Consumer("shipping")
        shop.incoming += [record(str(n), offset=n) for n in range(3)]

        assert [member.run_once() for _ in range(3)] == [2, 1, 0]

    def test_a_long_batch_is_interrupted_to_commit_what_is_done(self, shop, monkeypatch):
        now = [0.0]

        class Clock:
            def monotonic(self):
                now[0] += 0.4
                return now[0]

        monkeypatch.setattr(consumer, "time", Clock())
        member = Consumer("shipping")
        shop.incoming += [record(str(n), offset=n) for n in range(5)]

        assert [member.run_once() for _ in range(4)] == [2, 2, 1, 0]
        assert len(shop.polls) == 2
        assert [done.offset for done in shop.subscriptions[0].committed] == [1, 3, 4]

    def test_a_commit_that_fails_is_made_up_for(self, shop):
        member = Consumer("shipping")
        shop.incoming += [record("1")]
        shop.before_commit = unavailable
        with pytest.raises(BrokerUnavailable):
            member.run_once()
        assert boxes() == ["1"]

        shop.before_commit = lambda records: None
        member.run_once()
        assert [done.offset for done in shop.subscriptions[0].committed] == [0]
        assert boxes() == ["1"]


def unavailable(*_):
    raise BrokerUnavailable("down")


class TestDatabaseTrouble:
    @pytest.fixture
    def unreachable(self, monkeypatch):
        """Let the handling of order 2 find the database gone, until the fixture is called."""
        real = inbox.handle_once

        def handle_once(message, *rest):
            if message.message_key == "2":
                raise OperationalError("server closed the connection")
            return real(message, *rest)

        monkeypatch.setattr(inbox, "handle_once", handle_once)
        monkeypatch.setattr(settling, "lost_connection", lambda error: isinstance(error, OperationalError))
        return lambda: monkeypatch.setattr(inbox, "handle_once", real)

    def test_what_is_in_hand_survives_and_what_is_done_is_committed(self, shop, unreachable):
        member = Consumer("shipping")
        shop.incoming += [record(str(n), offset=n) for n in (1, 2, 3)]
        for _ in range(2):
            with pytest.raises(OperationalError):
                member.run_once()
        assert [done.offset for done in shop.subscriptions[0].committed] == [1]
        assert boxes() == ["1"]
        assert not DeadLetter.objects.exists()

        unreachable()
        assert member.run_once() == 2
        assert boxes() == ["1", "2", "3"]
        assert len(shop.polls) == 1
        assert [done.offset for done in shop.subscriptions[0].committed] == [1, 3]

    def test_a_letter_that_cannot_be_written_keeps_the_message_in_hand(self, registry, shop, monkeypatch):
        handled_by(registry, raising(ValueError("no")))
        monkeypatch.setattr(burial, "bury_received", cannot_write)
        member = Consumer("shipping")
        shop.incoming += [record()]
        with pytest.raises(DatabaseError):
            member.run_once()
        assert shop.subscriptions[0].committed == []
        monkeypatch.undo()

        handled_by(registry, raising(ValueError("no")))
        member.run_once()
        assert DeadLetter.objects.count() == 1

    @pytest.mark.parametrize("error", [OperationalError("deadlock detected"), InterfaceError("a mistake")])
    def test_an_error_of_a_handlers_statement_is_a_letter_while_the_database_answers(self, registry, shop, error):
        handled_by(registry, raising(error))
        consume(shop, record())

        assert DeadLetter.objects.get().error_message == str(error)
        assert boxes() == []

    @pytest.mark.django_db(transaction=True)
    def test_a_connection_that_breaks_once_costs_no_attempt(self, registry, shop):
        connection.ensure_connection()
        attempts = []

        def breaks_once(message):
            attempts.append(message.attempt)
            if len(attempts) == 1:
                break_connection()
            pack(message)

        handled_by(registry, breaks_once)
        assert consume(shop, record()) == 1
        assert attempts == [1, 1]
        assert boxes() == ["order-1"]
        assert not DeadLetter.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_a_handler_that_breaks_every_connection_is_to_blame(self, registry, shop):
        def breaks_always(message):
            break_connection()
            pack(message)

        handled_by(registry, breaks_always)
        assert consume(shop, record()) == 1
        assert DeadLetter.objects.get().attempts == 1
        assert not InboxMessage.objects.exists()


def break_connection():
    if connection.vendor != "sqlite":
        connection.connection.close()
        return
    connection.close()  # a file has no other end that could hang up
    raise OperationalError("disk I/O error")


def cannot_write(*_, **__):
    raise DatabaseError("disk full")


class TestChoosing:
    def test_a_duplicate_is_skipped(self, shop, skipped):
        consume(shop, record(), record(offset=5))

        assert boxes() == ["order-1"]
        assert skipped == [("order-1", "duplicate")]

    def test_a_message_with_another_tag_is_skipped(self, registry, shop, skipped):
        handled_by(registry, pack, tags=["paid"])
        consume(shop, record("1"), record("2", ("dlq-tag", b"paid")), record("3", ("dlq-tag", b"PAID")))

        assert boxes() == ["2"]
        assert skipped == [("1", "tag"), ("3", "tag")]

    def test_a_replay_for_another_group_is_skipped(self, shop, skipped):
        consume(shop, record("1", ("dlq-group", b"billing")), record("2", ("dlq-group", b"shipping")))
        consume(shop, record("3", ("dlq-group", b"\xff")), record("4", ("dlq-group", b"")))

        assert boxes() == ["2", "4"]
        assert skipped == [("1", "group"), ("3", "group")]

    def test_each_tag_has_its_handler(self, registry, shop):
        handled_by(registry, pack, tags=["paid"])
        seen = []
        inbox.handler("orders", group="shipping", tags=["sent"])(seen.append)
        consume(shop, record("1", ("dlq-tag", b"sent")), record("2", ("dlq-tag", b"paid")))

        assert ([message.message_key for message in seen], boxes()) == (["1"], ["2"])

    def test_a_foreign_message_is_known_by_its_place(self, shop):
        foreign = Record(topic="orders", partition=3, offset=7)
        consume(shop, foreign, foreign)

        assert boxes() == ["orders-3-7"]

    def test_receivers_are_told_of_what_was_handled(self, shop):
        told = []

        def receiver(message, handler, **_):
            told.append((message.message_key, handler.name, len(boxes())))

        signals.message_handled.connect(receiver)
        consume(shop, record())
        signals.message_handled.disconnect(receiver)
        assert told == [("order-1", "tests.test_consumer.pack", 1)]

    def test_a_faulty_receiver_stops_nobody(self, shop, caplog):
        def receiver(**_):
            raise ZeroDivisionError

        signals.message_handled.connect(receiver)
        assert consume(shop, record("1"), record("2", offset=1)) == 2
        signals.message_handled.disconnect(receiver)
        assert boxes() == ["1", "2"]
        assert "a receiver of a django_dlq signal failed" in caplog.text


class TestFailing:
    @pytest.mark.parametrize(
        "error", [ValueError("no"), SystemExit(3), asyncio.CancelledError("timed out"), BaseException("odd")], ids=repr
    )
    def test_a_failure_is_a_letter_and_the_handlers_rows_are_gone(self, registry, shop, error):
        handled_by(registry, raising(error))
        consume(shop, record("1"), record("2", offset=1))

        assert boxes() == []
        assert not InboxMessage.objects.exists()
        letters = DeadLetter.objects.order_by("pk")
        assert [(letter.message_key, letter.state) for letter in letters] == [("1", "retrying"), ("2", "retrying")]
        assert {letter.error_message for letter in letters} == {str(error)}

    def test_a_handler_that_swallows_the_end_of_its_transaction_has_failed(self, registry, shop):
        def handle(message):
            pack(message)
            with suppress(DatabaseError):
                Box.objects.create(pk=Box.objects.get().pk, order="twice")

        handled_by(registry, handle)
        consume(shop, record())

        letter = DeadLetter.objects.get()
        assert letter.error_class == "django_dlq.exceptions.SwallowedError"
        assert "IntegrityError" in letter.traceback
        assert (boxes(), InboxMessage.objects.count()) == ([], 0)

    def test_so_has_one_that_swallows_it_from_a_statement_by_hand(self, registry, shop):
        def handle(message):
            pack(message)
            with suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute("SELECT no_such_column")

        handled_by(registry, handle)
        consume(shop, record())

        # Only PostgreSQL undoes all of it; the others go on as if the statement had not been.
        is_undone = connection.vendor == "postgresql"
        assert (boxes(), DeadLetter.objects.count()) == (([], 1) if is_undone else (["order-1"], 0))

    def test_one_that_catches_an_error_around_a_savepoint_goes_on(self, registry, shop):
        def handle(message):
            pack(message)
            with suppress(DatabaseError), transaction.atomic():
                Box.objects.create(pk=Box.objects.get().pk, order="twice")

        handled_by(registry, handle)
        consume(shop, record())

        assert (boxes(), DeadLetter.objects.count()) == (["order-1"], 0)

    def test_ctrl_c_is_no_failure_of_the_message(self, registry, shop):
        handled_by(registry, raising(KeyboardInterrupt()))

        with pytest.raises(KeyboardInterrupt):
            consume(shop, record())
        assert not DeadLetter.objects.exists()

    def test_the_first_step_of_the_ladder_is_waited_for(self, registry, shop):
        handled_by(registry, raising(ValueError()))
        consume(shop, record())

        wait = DeadLetter.objects.get().next_attempt_at - database_now("default")
        assert timedelta(seconds=8) < wait <= timedelta(seconds=10)

    def test_a_handler_may_choose_the_delay(self, registry, shop):
        handled_by(registry, raising(RetryLater("busy", delay=timedelta(hours=3))))
        consume(shop, record())

        letter = DeadLetter.objects.get()
        assert timedelta(hours=2, minutes=59) < letter.next_attempt_at - database_now("default") <= timedelta(hours=3)
        assert (letter.error_message, letter.error_class) == ("busy", "django_dlq.exceptions.RetryLater")

    @pytest.mark.parametrize("delay", [60, timedelta.max, timedelta(-1)])
    def test_a_delay_that_nobody_can_wait_for_is_a_failure_of_the_handler(self, registry, shop, delay):
        def asks(message):
            raise RetryLater("busy", delay=delay)

        handled_by(registry, asks)
        consume(shop, record("1"), record("2", offset=1))

        assert {letter.state for letter in DeadLetter.objects.all()} == {State.RETRYING}
        assert all("delay is" in letter.error_message for letter in DeadLetter.objects.all())
        assert DeadLetter.objects.count() == 2

    @pytest.mark.parametrize("function", [raising(Reject("unknown order")), lambda message: message.json()])
    def test_some_failures_are_final_at_once(self, registry, shop, function):
        handled_by(registry, function)
        consume(shop, record(body=b"not JSON"))

        assert DeadLetter.objects.get().state == State.DEAD

    def test_a_policy_without_retries_is_final_too(self, registry, shop):
        handled_by(registry, raising(ValueError()), retry=RetryPolicy(delays=()))
        consume(shop, record())

        assert DeadLetter.objects.get().state == State.DEAD

    @pytest.mark.parametrize("body", [None, b"", b"\xff\x00", b'"text"'])
    def test_any_body_reaches_the_handler_and_the_letter_as_it_is(self, registry, shop, body):
        seen = []

        def handle(message):
            seen.append((message.body, message.is_tombstone))
            raise Reject

        handled_by(registry, handle)
        consume(shop, record(body=body, key=b"\xff", timestamp=datetime(2026, 1, 2, tzinfo=UTC)))

        assert seen == [(body or b"", body is None)]
        letter = DeadLetter.objects.get()
        assert (letter.body_bytes, letter.key_bytes) == (body, b"\xff")
        assert letter.sent_at == datetime(2026, 1, 2, tzinfo=UTC)

    @pytest.mark.parametrize("name", ["nul\x00", "ü", "", "x" * 10_000])
    def test_a_header_of_any_name_reaches_the_letter(self, registry, shop, name):
        handled_by(registry, raising(Reject("no")))
        consume(shop, record("1", (name, b"\x00")))

        assert DeadLetter.objects.get().headers[-1] == (name, b"\x00")

    def test_a_message_that_is_delivered_again_keeps_one_letter(self, registry, shop):
        handled_by(registry, raising(ValueError("no")))
        consume(shop, record(), record(offset=9))

        letter = DeadLetter.objects.get()
        assert (letter.attempts, letter.offset) == (2, 0)

    def test_identities_that_no_column_holds_are_digested_and_stay_the_same(self, registry, shop):
        handled_by(registry, raising(ValueError("no")))
        hostile = record(headers=(("id", b"\xff" * 5000), ("dlq-message-key", b"\x00"), ("dlq-tag", b"t" * 300)))
        consume(shop, hostile, hostile)

        assert DeadLetter.objects.get().attempts == 2


class TestExpiry:
    def expires(self, text):
        return record("order-1", ("dlq-expires", text if isinstance(text, bytes) else text.isoformat().encode()))

    def test_a_message_that_outlived_its_expiry_is_dead_and_says_so(self, shop):
        consume(shop, self.expires(datetime.now(UTC) - timedelta(seconds=5)))

        letter = DeadLetter.objects.get()
        assert (letter.state, letter.error_class) == (State.DEAD, "django_dlq.exceptions.Expired")
        assert letter.error_message.startswith("expired: it was to be handled before 2")
        assert boxes() == []
        assert not InboxMessage.objects.exists()

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"soon",
            b"\xff",
            b"2020-01-01T00:00:00",  # without a zone it is not ours
            b"0001-01-01T00:00:00+23:59",
            b"9999-12-31T23:59:59-23:59",
            b"1" * 10_000,
        ],
    )
    def test_a_header_of_another_system_says_nothing(self, shop, text):
        consume(shop, self.expires(text))

        letters = DeadLetter.objects.all()
        assert [letter.error_class for letter in letters if text[:1] != b"0"] == []
        assert len(boxes()) + len(letters) == 1

    def test_a_message_is_handled_in_time(self, shop):
        consume(shop, self.expires(datetime.now(UTC) + timedelta(minutes=5)))

        assert boxes() == ["order-1"]

    def test_a_message_that_was_handled_in_time_is_no_letter_when_it_comes_again(self, shop, skipped):
        consume(shop, record())
        consume(shop, self.expires(datetime.now(UTC) - timedelta(seconds=5)))

        assert skipped == [("order-1", "duplicate")]
        assert not DeadLetter.objects.exists()


class TestReplays:
    def test_success_resolves_the_letter(self, shop):
        letter = consumer_letter()
        deadletters.replay(letter, actor="ana")
        consume(shop, replay_record(letter))

        letter.refresh_from_db()
        assert letter.state == State.RESOLVED
        assert timeline(letter) == [("replayed", "ana"), ("resolved", "consumer")]

    def test_failure_makes_it_dead_again(self, registry, shop):
        handled_by(registry, raising(KeyError("again")))
        letter = consumer_letter()
        deadletters.replay(letter, actor="ana")
        consume(shop, replay_record(letter))

        letter = DeadLetter.objects.get()
        assert (letter.state, letter.attempts, letter.error_class) == (State.DEAD, 2, "KeyError")

    def test_what_had_been_handled_already_resolves_it_too(self, shop):
        letter = consumer_letter()
        deadletters.replay(letter, actor="ana")
        consume(shop, replay_record(letter))
        DeadLetter.objects.update(state=State.REPLAYING)
        consume(shop, replay_record(letter))

        letter.refresh_from_db()
        assert (letter.state, boxes()) == (State.RESOLVED, ["order-1"])

    def test_an_edited_copy_is_resolved_and_not_its_original_again(self, shop):
        letter = consumer_letter()
        copy = deadletters.edit(letter, actor="ana", reason="typo", body=b"better")
        consume(shop, replay_record(copy))

        copy.refresh_from_db()
        assert copy.state == State.RESOLVED
        assert timeline(letter) == [("edited", "ana")]

    def test_a_handler_that_fails_resolves_nothing(self, registry, shop):
        handled_by(registry, raising(ValueError()))
        theirs = consumer_letter(State.REPLAYING, message_key="another")
        consume(shop, record("1", ("dlq-group", b"shipping"), ("dlq-letter", str(theirs.pk).encode())))

        theirs.refresh_from_db()
        assert theirs.state == State.REPLAYING

    @pytest.mark.parametrize(
        "text", [b"garbage", b"", b"-1", b"1.0", b" 1", b"\xff", "٣".encode(), b"9" * 18, b"9" * 20, b"9" * 5000]
    )
    def test_a_letter_number_that_is_none_says_nothing(self, shop, text):
        consume(shop, record("1", ("dlq-group", b"shipping"), ("dlq-letter", text)))

        assert boxes() == ["1"]
        assert not DeadLetter.objects.exists()

    def test_a_forged_number_settles_no_letter_of_another_group_or_state(self, shop):
        letters = [
            consumer_letter(State.REPLAYING, group="billing"),
            consumer_letter(State.DEAD),
            consumer_letter(State.DISCARDED),
            relay_letter(State.REPLAYING),
        ]
        for number, letter in enumerate(letters):
            named = ("dlq-letter", str(letter.pk).encode())
            consume(shop, record(f"a{number}", ("dlq-group", b"shipping"), named), record(f"b{number}", named))

        assert len(boxes()) == 8
        assert [letter.events.count() for letter in letters] == [0, 0, 0, 0]
        assert not DeadLetter.objects.filter(state=State.RESOLVED).exists()

    def test_a_copy_of_a_replay_with_another_key_settles_no_letter(self, shop):
        letter = consumer_letter(State.REPLAYING)
        copied = replay_record(letter)
        headers = tuple((name, b"other" if name == "dlq-message-key" else value) for name, value in copied.headers)
        consume(shop, Record(topic="orders", partition=0, offset=1, headers=headers))

        letter.refresh_from_db()
        assert letter.state == State.REPLAYING


def test_what_is_settled_outside_a_consumer_is_settled_the_same(shop):
    consumer.settle("shipping", record())

    assert boxes() == ["order-1"]


@pytest.mark.django_db(transaction=True)
def test_two_members_handle_one_message_once(shop):
    together = threading.Barrier(2)

    def handle():
        try:
            together.wait(30)
            consumer.settle("shipping", record())
        finally:
            close_connections()

    threads = [threading.Thread(target=handle) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert boxes() == ["order-1"]
    assert not DeadLetter.objects.exists()
