"""A consumer whose handlers run at the same time, on a database that lets several write."""

import threading
from datetime import timedelta

import pytest
from django.db import connections

from django_dlq import consumer
from django_dlq.exceptions import TimeLimitExceeded
from django_dlq.inbox import Compensate, Decision
from django_dlq.message import ReceivedMessage
from django_dlq.models import DeadLetter, InboxMessage, Suspect, TakenPartition
from django_dlq.registry import Running
from django_dlq.time_limit import within
from tests.consuming.shipping import SECONDS, boxes, committed, pack, record, run_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_handlers_run_side_by_side_each_on_a_connection_of_its_own(member, broker):
    together, used = threading.Barrier(4), set()  # which four pass only together

    def handle(message):
        together.wait(SECONDS)
        used.add((threading.get_ident(), id(connections["default"])))
        pack(message)

    broker.incoming += [record(number) for number in range(4)]
    shipping = member(handle, concurrency=4)
    run_until(lambda: len(boxes()) == 4, shipping)
    assert len({thread for thread, _ in used}) == len({own for _, own in used}) == 4
    assert threading.get_ident() not in {thread for thread, _ in used}


def test_an_offset_passes_only_up_to_the_first_that_is_unfinished(member, broker, monkeypatch):
    may_end = threading.Event()
    monkeypatch.setattr(consumer, "SECONDS_BETWEEN_COMMITS", 0.05)

    def handle(message):
        if message.message_key == "3":
            assert may_end.wait(SECONDS)
        pack(message)

    broker.incoming += [record(number) for number in range(8)]
    shipping = member(handle, concurrency=2)
    run_until(lambda: len(boxes()) == 7, shipping)
    shipping.run_once()
    assert committed(broker) == 2

    may_end.set()
    run_until(lambda: not shipping.is_busy, shipping)
    assert committed(broker) == 7
    assert boxes() == list(range(8))


def test_what_has_not_started_in_a_revoked_partition_is_dropped_and_the_rest_goes_on(member, broker, monkeypatch):
    monkeypatch.setattr(consumer, "SECONDS_BETWEEN_COMMITS", 0.05)
    may_end, begun = threading.Event(), threading.Semaphore(0)

    def handle(message):
        begun.release()
        assert may_end.wait(SECONDS)
        pack(message)

    broker.incoming += [record(number, b"a", partition=0) for number in range(5)]
    broker.incoming += [record(number, b"b", partition=1) for number in range(10, 13)]
    shipping = member(handle, concurrency=2)
    shipping.run_once()
    for _ in range(2):
        assert begun.acquire(timeout=SECONDS)
    broker.subscriptions[0].lost.add(("orders", 0))
    shipping.run_once()
    may_end.set()
    run_until(lambda: not shipping.is_busy, shipping)

    assert boxes() == [0, 10, 11, 12]
    assert {done.partition for done in broker.subscriptions[0].committed} == {1}


def test_closing_finishes_what_was_started_and_leaves_the_rest_to_others(member, broker, monkeypatch):
    monkeypatch.setattr(consumer, "SECONDS_BETWEEN_COMMITS", 0.05)
    begun, may_end = threading.Semaphore(0), threading.Event()

    def handle(message):
        begun.release()
        assert may_end.wait(SECONDS)
        pack(message)

    broker.incoming += [record(number) for number in range(10)]
    shipping = member(handle, concurrency=2)
    shipping.run_once()
    for _ in range(2):
        assert begun.acquire(timeout=SECONDS)
    threading.Timer(0.1, may_end.set).start()
    shipping.close()

    assert boxes() == [0, 1]
    assert committed(broker) == 1
    assert broker.subscriptions[0].is_closed


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_handler_that_hangs_pays_an_attempt_passes_its_offset_and_ends_the_process(
    member, broker, settings, monkeypatch, concurrency
):
    settings.DLQ_CONSUMER_GRACE = timedelta(milliseconds=50)
    may_end, hanging = threading.Event(), []

    def end_process():
        letter = DeadLetter.objects.get()
        hanging.append((letter.message_key, letter.error_class.rpartition(".")[2], committed(broker)))
        hanging.append("may_end.wait" in letter.traceback)
        may_end.set()
        if threading.current_thread() is not threading.main_thread():
            connections.close_all()

    def handle(message):
        if message.message_key == "1" and not hanging:
            assert may_end.wait(SECONDS)
        pack(message)

    monkeypatch.setattr(consumer, "end_process", end_process)
    broker.incoming += [record(0, b"k"), record(1, b"k")]
    shipping = member(handle, concurrency=concurrency, timeout=timedelta(milliseconds=300))
    run_until(lambda: hanging, shipping)
    assert hanging == [("1", "TimeLimitExceeded", 1), True]


def nothing(message, error):
    raise AssertionError("the transaction that it would compensate is still open")


@pytest.mark.parametrize(
    "wish",
    [
        (Decision.SKIP, "retrying"),
        (Compensate(nothing), "retrying"),
        (Decision.DEAD, "dead"),
        (lambda message, error: 1 / 0, "retrying"),
    ],
)
def test_while_a_handler_hangs_its_message_can_only_be_retried_or_dead_whatever_its_rule_says(
    member, broker, settings, monkeypatch, wish
):
    settings.DLQ_CONSUMER_GRACE = timedelta(milliseconds=50)
    rule, state = wish
    may_end, hanging = threading.Event(), []

    def end_process():
        hanging.append(DeadLetter.objects.get())
        may_end.set()
        if threading.current_thread() is not threading.main_thread():
            connections.close_all()

    def handle(message):
        InboxMessage.objects.get(message_key=message.message_key)  # its row is there, and locked
        assert may_end.wait(SECONDS)

    monkeypatch.setattr(consumer, "end_process", end_process)
    broker.incoming += [record(0)]
    on_failure = rule if callable(rule) and not isinstance(rule, Compensate) else {TimeLimitExceeded: rule}
    shipping = member(handle, timeout=timedelta(milliseconds=300), on_failure=on_failure)
    run_until(lambda: hanging, shipping)
    assert (hanging[0].state, hanging[0].attempts) == (state, 1)
    assert ("on_failure for this failed with ZeroDivisionError" in hanging[0].traceback) == callable(on_failure)


@pytest.mark.parametrize("case", [("compensation", 1), ("compensation", 3), ("rule", 1), ("fingerprint", 3)])
def test_what_hangs_when_it_is_called_about_a_failure_pays_the_attempt_and_ends_the_process(
    member, broker, settings, monkeypatch, case
):
    settings.DLQ_CONSUMER_GRACE = timedelta(milliseconds=50)
    hangs, concurrency = case
    may_end, hanging, calls = threading.Event(), [], []

    def end_process():
        hanging.append(DeadLetter.objects.get())
        hanging.append(committed(broker))
        may_end.set()
        if threading.current_thread() is not threading.main_thread():
            connections.close_all()

    def hang(message, error):
        calls.append(message.message_key)
        assert may_end.wait(SECONDS)
        return Decision.DEAD if hangs == "rule" else "cause"

    def handle(message):
        raise ValueError("no stock")

    options = {
        "compensation": {"on_failure": {ValueError: Compensate(hang)}},
        "rule": {"on_failure": hang},
        "fingerprint": {"fingerprint": hang},
    }[hangs]
    monkeypatch.setattr(consumer, "end_process", end_process)
    broker.incoming += [record(0)]
    shipping = member(handle, concurrency=concurrency, timeout=timedelta(milliseconds=300), **options)
    run_until(lambda: len(hanging) == 2, shipping)
    letter, offset = hanging
    assert (letter.state, letter.attempts, offset) == ("retrying", 1, 0)
    assert letter.error_class.rpartition(".")[2] == "TimeLimitExceeded"
    assert "may_end.wait" in letter.traceback
    assert calls == ["0"]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_what_hangs_elsewhere_in_the_process_is_not_the_consumers(member, broker, settings, monkeypatch, concurrency):
    settings.DLQ_CONSUMER_GRACE = timedelta(milliseconds=10)
    settings.DLQ_STORM_IN_ROW = settings.DLQ_STORM_SHARE = None  # or this thread would ask the database meanwhile
    monkeypatch.setattr(consumer, "end_process", lambda: pytest.fail("the consumer's own handlers go on"))
    reported = []
    shipping = member(pack, concurrency=concurrency, timeout=timedelta(minutes=1))
    report = shipping._hanging.report
    monkeypatch.setattr(shipping._hanging, "report", lambda call: (report(call), reported.append(call)))
    retried = ReceivedMessage.of(record(9), "shipping")
    with within(timedelta(microseconds=1), about=Running(None, [retried])):
        run_until(lambda: reported, shipping)
    broker.incoming += [record(0)]
    run_until(lambda: boxes() == [0], shipping)


def test_a_handler_that_exceeds_its_time_fails_at_its_next_statement(member, broker):
    began = threading.Event()

    def handle(message):
        began.wait(0.05)  # what takes too long is the scenario
        pack(message)

    broker.incoming += [record(0)]
    run_until(DeadLetter.objects.exists, member(handle, timeout=timedelta(milliseconds=10)))
    letter = DeadLetter.objects.get()
    assert (letter.error_class.rpartition(".")[2], letter.state, boxes()) == ("TimeLimitExceeded", "retrying", [])


def test_nothing_runs_beside_a_suspect_and_the_others_run_side_by_side_again(member, broker, group):
    TakenPartition.objects.take("gone", group, {("orders", 0)})
    row = {"group": group, "topic": "orders", "partition": 0, "handler": "h", "owner": "gone"}
    for number in (2, 3):
        Suspect.objects.create(**row, offset=number, message_id=str(number), message_key=str(number), deaths=1)
    beside, running, most = {}, set(), []
    both = threading.Barrier(2)

    def handle(message):
        running.add(message.message_key)
        beside[message.message_key] = set(running)
        most.append(len(running))
        if message.message_key in ("4", "5"):
            both.wait(SECONDS)
        pack(message)
        running.discard(message.message_key)

    shipping = member(handle, concurrency=4)
    broker.incoming = [record(number) for number in range(1, 6)]
    run_until(lambda: len(boxes()) == 5, shipping)
    assert beside["2"] == {"2"}
    assert beside["3"] == {"3"}
    assert max(most) > 1
