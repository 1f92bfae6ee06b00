"""Batches; how single messages are settled is in tests/test_consumer.py."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, OperationalError, connection

from django_dlq import deadletters, inbox, signals
from django_dlq.consumer import Consumer
from django_dlq.consuming import settling
from django_dlq.exceptions import Reject
from django_dlq.message import Record
from django_dlq.models import DeadLetter, InboxMessage, State
from tests.letters import consumer_letter, replay_record
from tests.shop.models import Box

pytestmark = pytest.mark.django_db


@pytest.fixture
def calls(registry, broker):
    """Register a batch handler that packs a box for each message; collect the lists that it is called with."""
    calls = []

    @inbox.handler("orders", group="shipping", batch_size=8)
    def pack(messages):
        calls.append([message.message_key for message in messages])
        for message in messages:
            Box.objects.create(order=message.message_key)
            if message.body == b"bad":
                raise ValueError(message.message_key)

    return calls


def record(number, *more, body=b"{}", key=None, offset=None):
    headers = (("id", b"id-%d" % number), ("dlq-message-key", b"%d" % number), *more)
    return Record("orders", key, body, headers, partition=0, offset=number if offset is None else offset)


def consume(broker, *records):
    member = Consumer("shipping")
    broker.incoming += records
    settled = member.run_once()
    member.close()
    return settled


def boxes():
    return sorted(int(order) for order in Box.objects.values_list("order", flat=True))


def handled():
    return sorted(int(key) for key in InboxMessage.objects.values_list("message_key", flat=True))


def letters():
    return {letter.message_key: letter for letter in DeadLetter.objects.all()}


def test_a_batch_handler_gets_lists_up_to_its_size_in_their_order(calls, broker):
    assert consume(broker, *map(record, range(10))) == 10

    assert calls == [[str(number) for number in range(8)], ["8", "9"]]
    assert boxes() == handled() == list(range(10))


def test_a_batch_is_one_transaction_and_one_statement_claims_it(calls, broker, django_assert_num_queries):
    member = Consumer("shipping")
    broker.incoming.append(record(8))
    member.run_once()  # asks whether the group is stopped, for a second, and takes the partition
    broker.incoming += [record(number) for number in range(8)]
    with django_assert_num_queries(8 + 3):  # a savepoint, the claim, eight boxes, and the savepoint's release
        member.run_once()
    assert boxes() == list(range(9))


def test_duplicates_are_taken_out_inside_the_batch_and_from_before(calls, broker):
    skipped = []

    def receiver(message, why, **_):
        skipped.append((message.message_key, why))

    consume(broker, record(1), record(5))
    signals.message_skipped.connect(receiver)
    consume(broker, record(1, offset=6), record(2), record(2, offset=7), record(3), record(5, offset=8))
    signals.message_skipped.disconnect(receiver)

    assert calls == [["1", "5"], ["2", "3"]]
    assert boxes() == [1, 2, 3, 5]
    assert skipped == [("1", "duplicate"), ("2", "duplicate"), ("5", "duplicate")]


def test_of_duplicates_alone_the_handler_is_not_told(calls, broker):
    consume(broker, record(1), record(2))
    consume(broker, record(1), record(2))

    assert calls == [["1", "2"]]


@pytest.mark.parametrize("guilty", [{0}, {7}, {3, 4}, set(range(8))])
def test_a_batch_that_fails_is_halved_until_the_guilty_are_alone_and_the_others_are_done(calls, broker, guilty):
    consume(broker, *(record(number, body=b"bad" if number in guilty else b"{}") for number in range(8)))

    innocent = sorted(set(range(8)) - guilty)
    assert boxes() == handled() == innocent
    assert {int(key): letter.error_message for key, letter in letters().items()} == {one: str(one) for one in guilty}
    assert {(letter.state, letter.attempts) for letter in letters().values()} == {(State.RETRYING, 1)}
    assert not any("During handling" in letter.traceback for letter in letters().values())


def test_each_message_alone_follows_the_handlers_own_policy(registry, broker):
    @inbox.handler("orders", group="shipping", batch_size=8)
    def handle(messages):
        if any(message.message_key == "2" for message in messages):
            raise Reject("not two")

    consume(broker, *map(record, range(4)))
    assert [(key, letter.state) for key, letter in letters().items()] == [("2", State.DEAD)]


def test_an_offset_passes_only_with_the_whole_batch(calls, broker):
    broker.before_commit = lambda records: seen.append((records[0].offset, len(boxes()), DeadLetter.objects.count()))
    seen = []
    consume(broker, *(record(number, body=b"bad" if number == 2 else b"{}") for number in range(8)))

    assert seen == [(7, 7, 1)]


def test_expired_ones_are_dead_and_never_reach_the_handler(calls, broker):
    past, future = datetime.now(UTC) - timedelta(seconds=5), datetime.now(UTC) + timedelta(minutes=5)
    consume(
        broker,
        record(1, ("dlq-expires", past.isoformat().encode())),
        record(2, ("dlq-expires", future.isoformat().encode())),
        record(3),
        record(4, ("dlq-expires", b"soon")),
    )

    assert calls == [["2", "3", "4"]]
    assert [(key, letter.state) for key, letter in letters().items()] == [("1", State.DEAD)]
    assert letters()["1"].error_class == "django_dlq.exceptions.Expired"


def test_replays_in_a_batch_settle_their_letters(calls, broker):
    letter = consumer_letter(message_key="7")
    deadletters.replay(letter, actor="ana")
    consume(broker, record(1), replay_record(letter)._replace(offset=2))

    letter.refresh_from_db()
    assert (letter.state, calls) == (State.RESOLVED, [["1", "7"]])


def test_single_and_batch_handlers_share_a_group(registry, broker):
    seen = []
    inbox.handler("orders", group="shipping", tags=["one"])(lambda message: seen.append(message.message_key))

    @inbox.handler("orders", group="shipping", tags=["many"], batch_size=10)
    def handle(messages):
        seen.append([message.message_key for message in messages])

    tags = ["many", "one", "many", "other", "many"]
    consume(broker, *(record(number, ("dlq-tag", tag.encode())) for number, tag in enumerate(tags)))
    assert seen == [["0", "2", "4"], "1"]


def test_a_key_keeps_its_order_where_single_and_batch_handlers_take_turns(registry, broker):
    seen = []
    inbox.handler("orders", group="shipping", tags=["one"])(lambda message: seen.append(message.message_key))

    @inbox.handler("orders", group="shipping", tags=["many"], batch_size=10)
    def handle(messages):
        seen.append([message.message_key for message in messages])

    tags = ["many", "one", "many", "many"]
    consume(broker, *(record(number, ("dlq-tag", tag.encode()), key=b"k") for number, tag in enumerate(tags)))
    assert seen == [["0"], "1", ["2", "3"]]


def test_if_the_database_is_gone_nobody_pays_an_attempt_and_what_is_done_stays_done(calls, broker, monkeypatch):
    real, claims = InboxMessage.objects.claim_many, []

    def claim_many(messages, group):
        claims.append(len(messages))
        if len(claims) == 3:
            raise OperationalError("server closed the connection")
        return real(messages, group)

    monkeypatch.setattr(type(InboxMessage.objects), "claim_many", lambda _, *rest: claim_many(*rest))
    monkeypatch.setattr(settling, "lost_connection", lambda error: isinstance(error, OperationalError))
    member = Consumer("shipping")
    broker.incoming += [record(number, body=b"bad" if number == 7 else b"{}") for number in range(8)]
    with pytest.raises(OperationalError):  # all eight fail, the first four succeed, and then
        member.run_once()
    assert (boxes(), DeadLetter.objects.count()) == ([0, 1, 2, 3], 0)
    assert broker.subscriptions[0].committed[-1].offset == 3

    assert member.run_once() == 4
    assert boxes() == [0, 1, 2, 3, 4, 5, 6]
    assert [(key, letter.attempts) for key, letter in letters().items()] == [("7", 1)]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_breaks_under_a_batch_costs_no_attempt(registry, broker):
    connection.ensure_connection()
    sizes = []

    @inbox.handler("orders", group="shipping", batch_size=8)
    def breaks_once(messages):
        sizes.append(len(messages))
        if len(sizes) == 1:
            break_connection()
        Box.objects.bulk_create(Box(order=message.message_key) for message in messages)

    consume(broker, *map(record, range(4)))
    assert (sizes, boxes(), DeadLetter.objects.count()) == ([4, 4], [0, 1, 2, 3], 0)


def break_connection():
    if connection.vendor != "sqlite":
        connection.connection.close()
        return
    connection.close()  # a file has no other end that could hang up
    raise OperationalError("disk I/O error")


def test_a_batch_whose_transaction_was_undone_in_silence_has_failed(registry, broker):
    @inbox.handler("orders", group="shipping", batch_size=8)
    def handle(messages):
        Box.objects.bulk_create(Box(order=message.message_key) for message in messages)
        if any(message.message_key == "1" for message in messages):
            with suppress(DatabaseError):
                Box.objects.create(pk=Box.objects.first().pk, order="twice")

    consume(broker, *map(record, range(4)))
    assert (boxes(), {key: letter.error_class.rpartition(".")[2] for key, letter in letters().items()}) == (
        [0, 2, 3],
        {"1": "SwallowedError"},
    )


def test_a_statement_that_fails_under_a_batch_is_its_messages_own_fault(registry, broker):
    @inbox.handler("orders", group="shipping", batch_size=8)
    def handle(messages):
        Box.objects.bulk_create(Box(order=message.message_key) for message in messages)
        if any(message.message_key == "1" for message in messages):
            raise DatabaseError("value out of range")

    consume(broker, *map(record, range(4)))
    assert (boxes(), list(letters())) == ([0, 2, 3], ["1"])
