"""A consumer whose handlers depend on something that goes down."""

import threading
import time
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings

from django_dlq import inbox, outbox, signals
from django_dlq.brokers.base import Subscription
from django_dlq.conf import conf
from django_dlq.consumer import Consumer
from django_dlq.consuming import circuits
from django_dlq.models import Circuit, DeadLetter, Dependency, State
from tests.consuming.shipping import SECONDS, boxes, pack, record
from tests.outages import NAME, Logistics, circuit, let_time_pass, open_by_itself

pytestmark = pytest.mark.django_db


@pytest.fixture
def logistics(registry):
    return Logistics()


@pytest.fixture
def told():
    """Collect what signals say of circuits."""
    heard = []

    def opened(dependency, **_):
        heard.append(("opened", dependency.error_class))

    def closed(dependency, **_):
        heard.append(("closed", dependency.name))

    signals.circuit_opened.connect(opened)
    signals.circuit_closed.connect(closed)
    yield heard
    signals.circuit_opened.disconnect(opened)
    signals.circuit_closed.disconnect(closed)


@pytest.fixture
def member(registry):
    """Make a consumer that does everything at once, and close it afterwards."""
    members = []

    def make(group="shipping"):
        members.append(Consumer(group, inline=True))
        return members[-1]

    yield make
    for each in members:
        each.close()


def work(consumer):
    """Let it settle all that may be settled."""
    settled = consumer.run_once(timeout=0)
    while consumer.is_busy:
        settled += consumer.run_once(timeout=0)
    return settled


def letters():
    return list(DeadLetter.objects.order_by("pk").values_list("message_key", "state", "dependency", "attempts"))


def test_after_five_failures_in_a_row_nothing_more_is_handled_and_only_four_have_paid(logistics, broker, member, told):
    logistics.watch()
    logistics.serve("shipping")
    logistics.is_up = False
    broker.incoming += map(record, range(50))
    work(member())

    assert [key for key, _ in logistics.calls] == ["0", "1", "2", "3", "4"]
    assert letters() == [(str(number), State.RETRYING, NAME, 1) for number in range(4)]
    assert circuit().state == Circuit.OPEN
    assert told == [("opened", "ConnectionRefusedError")]
    assert [done.offset for done in broker.subscriptions[0].committed] == [3]


def test_when_the_probe_succeeds_one_message_is_tried_and_then_all_are_handled(logistics, broker, member, told):
    logistics.watch()
    logistics.serve("shipping")
    logistics.is_up = False
    broker.incoming += map(record, range(20))
    consumer = member()
    work(consumer)
    logistics.is_up = True
    let_time_pass()
    work(consumer)

    assert boxes() == list(range(4, 20))
    assert circuit().state == Circuit.CLOSED
    assert told == [("opened", "ConnectionRefusedError"), ("closed", NAME)]
    # The message that found it closed, and paid nothing, is the first to be tried.
    assert logistics.calls[5:7] == [("4", 1), ("5", 1)]
    assert not DeadLetter.objects.filter(next_attempt_at__gt=circuit().failed_at + timedelta(seconds=5)).exists()


def test_while_the_probe_fails_nothing_is_tried_and_its_error_is_kept(logistics, broker, member):
    logistics.watch()
    logistics.serve("shipping")
    open_by_itself()
    logistics.is_up = False
    broker.incoming += [record(0)]
    consumer = member()
    work(consumer)
    row = circuit()

    assert (logistics.probed, logistics.calls) == (1, [])
    assert (row.state, row.trials, row.error_message) == (Circuit.OPEN, 1, "nobody listens")
    work(consumer)
    assert logistics.probed == 1  # its time has not come again


def test_where_the_probe_is_content_the_messages_are_to_blame(logistics, broker, member, told):
    logistics.watch(failures=2)
    logistics.serve("shipping")
    logistics.poisoned = {"0", "1", "2", "3"}
    broker.incoming += map(record, range(6))
    work(member())

    assert [letter[0] for letter in letters()] == ["0", "1", "2", "3"]
    assert boxes() == [4, 5]
    assert (circuit().state, told) == (Circuit.CLOSED, [])


def test_a_poisoned_message_does_not_keep_the_circuit_open(logistics, broker, member):
    """It is the first to be tried each time, and fails, though the dependency is back."""
    logistics.watch()
    logistics.serve("shipping")
    open_by_itself()
    logistics.poisoned = {"0"}
    broker.incoming += map(record, range(3))
    work(member())

    assert boxes() == [1, 2]
    assert letters() == [("0", State.RETRYING, NAME, 1)]
    assert circuit().state == Circuit.CLOSED


def test_a_trial_that_fails_opens_the_circuit_again_and_costs_no_attempt(logistics, broker, member):
    logistics.watch()
    logistics.serve("shipping")
    open_by_itself()
    broker.incoming += map(record, range(3))
    logistics.is_up = False
    logistics.lies = [True, False]
    work(member())

    assert logistics.calls == [("0", 1)]
    assert letters() == []
    assert (circuit().state, circuit().trials) == (Circuit.OPEN, 1)


def test_without_a_probe_a_message_is_tried_when_its_time_has_come(logistics, broker, member):
    logistics.serve("shipping")
    open_by_itself()
    logistics.is_up = False
    broker.incoming += map(record, range(3))
    consumer = member()
    work(consumer)
    assert logistics.calls == [("0", 1)]

    logistics.is_up = True
    let_time_pass()
    work(consumer)
    assert boxes() == [0, 1, 2]
    assert letters() == []


def test_without_a_probe_a_message_pays_an_attempt_for_every_tenth_trial(logistics, broker, member):
    logistics.serve("shipping")
    open_by_itself(trials=circuits.TRIALS_FOR_ONE_ATTEMPT - 1)
    logistics.is_up = False
    broker.incoming += map(record, range(3))
    work(member())

    assert letters() == [("0", State.RETRYING, NAME, 1)]
    assert circuit().state == Circuit.OPEN


def test_one_message_is_tried_among_all_processes(logistics, broker, member):
    logistics.watch()
    logistics.serve("shipping")
    open_by_itself(state=Circuit.HALF_OPEN)
    first, second = (circuits.Circuits(member()._handlers, inline=True) for _ in range(2))
    first.look()
    second.look()
    handler = member()._handlers[0]

    assert (first.allowance(handler), second.allowance(handler)) == (1, 0)
    second.look()
    assert (first.allowance(handler), second.allowance(handler)) == (0, 0)


def test_one_process_probes_at_a_time(logistics, member):
    logistics.watch()
    logistics.serve("shipping")
    open_by_itself()
    logistics.is_up = False
    for _ in range(3):
        circuits.Circuits(member()._handlers, inline=True).look()
    assert logistics.probed == 1


def test_the_handlers_of_the_same_group_that_do_not_need_it_go_on(logistics, broker, member):
    logistics.watch()
    logistics.serve("shipping", "orders", tags=["paid"])
    inbox.handler("orders", group="shipping", tags=["free"])(pack)
    open_by_itself()
    logistics.is_up = False
    for number in range(6):
        one = record(number)
        tag = (b"paid", b"free")[number % 2]
        broker.incoming.append(one._replace(headers=(*one.headers, ("dlq-tag", tag))))
    work(member())
    assert boxes() == [1, 3, 5]
    assert logistics.calls == []


def test_a_failure_of_another_kind_neither_counts_nor_forgives(registry, broker, member):
    fails = [ConnectionError("0"), ValueError("1"), ConnectionError("2")]

    def stumble(message):
        if int(message.message_key) < len(fails):
            raise fails[int(message.message_key)]

    inbox.handler("orders", group="shipping", depends_on=NAME)(stumble)
    broker.incoming += map(record, range(3))
    consumer = member()
    work(consumer)
    assert circuit().failures == 2
    assert [letter[2] for letter in letters()] == [NAME, "", NAME]

    broker.incoming += [record(3)]
    work(consumer)
    assert circuit().failures == 0


def test_a_message_that_was_tried_and_is_bad_lets_the_next_one_try(registry, broker, member):
    def stumble(message):
        if message.message_key != "2":
            raise ValueError(message.message_key)
        pack(message)

    inbox.handler("orders", group="shipping", depends_on=NAME)(stumble)
    inbox.probe(NAME)(lambda: True)
    open_by_itself()
    broker.incoming += map(record, range(3))
    work(member())
    assert boxes() == [2]
    assert circuit().state == Circuit.CLOSED


def test_a_batch_is_not_halved_down_by_an_outage(logistics, broker, member):
    logistics.watch()
    logistics.serve("shipping", batch_size=64)
    logistics.is_up = False
    broker.incoming += map(record, range(64))
    consumer = member()
    work(consumer)
    assert len(logistics.calls) == 5
    assert letters() == []

    logistics.is_up = True
    let_time_pass()
    work(consumer)
    assert boxes() == list(range(64))


def test_a_poisoned_message_in_a_batch_is_still_found(logistics, broker, member):
    logistics.watch()
    logistics.serve("shipping", batch_size=64)
    logistics.poisoned = {"17"}
    broker.incoming += map(record, range(64))
    work(member())
    assert [letter[0] for letter in letters()] == ["17"]
    assert boxes() == [number for number in range(64) if number != 17]


def test_a_circuit_that_a_person_has_opened_is_not_probed(logistics, broker, member):
    logistics.watch()
    logistics.serve("shipping")
    Dependency.objects.open_by_hand(NAME, actor_name="ada", reason="they migrate")
    let_time_pass()
    broker.incoming += [record(0)]
    consumer = member()
    work(consumer)
    assert (logistics.probed, logistics.calls) == (0, [])

    assert Dependency.objects.close_by_hand(NAME)
    work(consumer)
    assert boxes() == [0]


def test_a_consumer_with_nothing_but_blocked_messages_is_not_busy(logistics, broker, member):
    """Or `dlq_consume --once` would wait for the end of the outage."""
    logistics.serve("shipping")
    Dependency.objects.open_by_hand(NAME, actor_name="ada", reason="they migrate")
    broker.incoming += [record(0, b"k"), record(1, b"k")]
    consumer = member()
    work(consumer)
    assert not consumer.is_busy
    Dependency.objects.close_by_hand(NAME)
    work(consumer)
    assert boxes() == [0, 1]


@override_settings(DLQ_REPLAY_AFTER_OUTAGE=True)
@pytest.mark.parametrize(("replay", "expected"), [(None, "the end of the outage"), (False, "")])
def test_the_end_of_an_outage_asks_for_the_replay_of_what_died_of_it(logistics, broker, member, replay, expected):
    logistics.watch(replay=replay)
    logistics.serve("shipping")
    open_by_itself()
    broker.incoming += [record(0)]
    work(member())
    assert circuit().replay_by == expected


def test_handlers_that_depend_on_nothing_cost_no_query(registry, broker, member, django_assert_num_queries):
    inbox.handler("orders", group="shipping")(pack)
    watched = circuits.Circuits(member()._handlers)
    handler = member()._handlers[0]
    with django_assert_num_queries(0):
        watched.look()
        assert watched.allowance(handler) == circuits.NO_LIMIT
        watched.ended(handler, was_called=True)
        assert not watched.claims(handler, ConnectionError())


def test_a_closed_circuit_costs_a_query_a_second(logistics, member, django_assert_num_queries):
    logistics.serve("shipping")
    watched = circuits.Circuits(member()._handlers)
    handler = member()._handlers[0]
    with django_assert_num_queries(1):
        for _ in range(3):
            watched.look()
            assert watched.allowance(handler) == circuits.NO_LIMIT
            watched.ended(handler, was_called=True)


class TestBeside:
    """What goes on while a circuit is open."""

    @pytest.fixture
    def busy(self, dlq, logistics, settings):
        """Publish a long backlog that waits for logistics, and another topic of the same group that does not."""
        settings.DLQ_CONSUMER_BATCH = 10
        logistics.watch()
        logistics.serve("shipping")
        inbox.handler("mail", group="shipping")(pack)
        open_by_itself(next_probe_at=None, actor_name="ana", reason="they migrate")
        with transaction.atomic():
            for topic, numbers in (("orders", range(200)), ("mail", range(200, 260))):
                outbox.publish_many(
                    outbox.Message(topic, {}, message_key=str(number), key=str(number)) for number in numbers
                )
        call_command("dlq_relay", "--once")
        return logistics

    def test_other_topics_of_the_group_are_handled_and_the_backlog_stays_in_the_broker(self, busy, dlq, member):
        consumer = member()
        work(consumer)
        for _ in range(20):
            work(consumer)
        partitions = len({record.place for record in dlq.broker.records("orders")})
        assert len(boxes()) == 60
        assert busy.calls == []
        # Of each partition a batch at most.
        assert len(consumer._hand) <= partitions * conf.DLQ_CONSUMER_BATCH < 200

        Dependency.objects.close_by_hand(NAME)
        while work(consumer):
            pass
        assert len(boxes()) == 260

    def test_large_messages_that_wait_leave_room_for_others(self, busy, dlq, member, monkeypatch):
        monkeypatch.setattr("django_dlq.consuming.room.MOST_BYTES", 10)
        consumer = member()
        for _ in range(20):
            work(consumer)
        assert len(boxes()) == 60

    def test_a_broker_that_cannot_hold_partitions_holds_up_the_whole_group(self, busy, dlq, member, monkeypatch):
        monkeypatch.setattr("django_dlq.brokers.memory._Member.hold", Subscription.hold)
        consumer = member()
        for _ in range(20):
            work(consumer)
        assert len(consumer._hand) <= 2 * conf.DLQ_CONSUMER_BATCH


class TestProbing:
    """How a probe is asked beside the work, as in production."""

    def until(self, watched, state):
        deadline = time.monotonic() + SECONDS
        while circuit().state != state:
            assert time.monotonic() < deadline
            watched.look()

    def test_its_answer_is_heard_when_it_comes(self, logistics, member):
        may_answer = threading.Event()
        inbox.probe(NAME)(lambda: may_answer.wait(SECONDS))
        logistics.serve("shipping")
        open_by_itself()
        watched = circuits.Circuits(member()._handlers)
        watched.look()
        watched.look()
        assert circuit().state == Circuit.OPEN
        may_answer.set()
        self.until(watched, Circuit.HALF_OPEN)

    def test_one_that_hangs_is_given_up_and_not_asked_again_before_it_has_ended(self, logistics, member, monkeypatch):
        monkeypatch.setattr(circuits, "LOOK_EVERY", 0.0)
        may_end, asked = threading.Event(), []

        def probe():
            asked.append(1)
            may_end.wait(SECONDS)

        inbox.probe(NAME, timeout=timedelta(milliseconds=1))(probe)
        logistics.serve("shipping")
        open_by_itself()
        watched = circuits.Circuits(member()._handlers)
        deadline = time.monotonic() + SECONDS
        while not circuit().trials:
            assert time.monotonic() < deadline
            watched.look()
        assert circuit().error_class == "TimeoutError"
        let_time_pass()
        watched.look()
        assert asked == [1]

        may_end.set()
        while len(asked) == 1:
            assert time.monotonic() < deadline
            let_time_pass()
            watched.look()

    def test_what_a_person_does_meanwhile_stands(self, logistics, member):
        logistics.watch()
        logistics.serve("shipping")
        open_by_itself()
        watched = circuits.Circuits(member()._handlers)
        watched.look()
        Dependency.objects.open_by_hand(NAME, actor_name="ana", reason="they migrate")
        for asked in list(watched._asked.values()):
            asked.wait()
        watched.look()
        assert circuit().state == Circuit.OPEN

    def test_nothing_to_wait_for_where_all_is_closed(self, logistics, member):
        logistics.serve("shipping")
        watched = circuits.Circuits(member()._handlers)
        assert watched.wait() == 0
        open_by_itself()
        watched.look()
        assert watched.wait() == circuits.WAIT


def test_an_outage_that_another_process_has_found_costs_nothing_here(logistics, broker, member):
    """What it was told a moment ago is that all is well, so it fails, and learns better."""
    logistics.watch()
    logistics.serve("shipping")
    watched = circuits.Circuits(member()._handlers)
    handler = member()._handlers[0]
    watched.look()
    open_by_itself()
    assert watched.claims(handler, ConnectionError())
    assert watched.blocks(handler)


def test_of_two_that_find_the_outage_at_once_one_opens_the_circuit(logistics, member, told):
    logistics.watch(failures=1)
    logistics.serve("shipping")
    logistics.is_up = False
    handler = member()._handlers[0]
    first, second = (circuits.Circuits(member()._handlers) for _ in range(2))
    Dependency.objects.count_failure(NAME, error_class="ConnectionError", error_message="no")
    assert first.claims(handler, ConnectionError())
    assert second.claims(handler, ConnectionError())
    assert told == [("opened", "ConnectionRefusedError")]
