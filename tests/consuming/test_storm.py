"""A group that fails too much stops, in this release, until a person lets it go on."""

import logging
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from django_dlq import inbox, signals, stops
from django_dlq.consumer import Consumer
from django_dlq.consuming import storm
from django_dlq.consuming.circuits import Circuits
from django_dlq.consuming.settling import delivery_of, settle
from django_dlq.consuming.stops import Stops
from django_dlq.consuming.storm import StormGuard, Window
from django_dlq.exceptions import Expired, Reject, RetryLater, Skip
from django_dlq.inbox import Compensate
from django_dlq.models import DeadLetter, InboxMessage, StoppedGroup
from tests.consuming.shipping import record
from tests.letters import consumer_letter, replay_record
from tests.outages import Logistics

pytestmark = pytest.mark.django_db

BAD = ValueError("no such column")


@pytest.fixture(autouse=True)
def quickly(settings, monkeypatch):
    """Let a few messages be a storm, and each look be a new one."""
    settings.DLQ_STORM_IN_ROW, settings.DLQ_STORM_SHARE = 3, None
    settings.DLQ_RELEASE = "r1"
    monkeypatch.setattr("django_dlq.consuming.stops.LOOK_EVERY", 0.0)
    monkeypatch.setattr(storm, "LOOK_EVERY", 0.0)


@pytest.fixture
def ship(registry, broker):
    """Make a member whose handler fails with what is in `errors`, by message key, or else in `always`."""
    state = SimpleNamespace(errors={}, always=None, handled=[], broker=broker)

    def ship(message):
        error = state.errors.get(message.message_key, state.always)
        if error is not None:
            raise error
        state.handled.append(message.message_key)

    inbox.handler("orders", group="shipping")(ship)
    state.member = Consumer("shipping")
    yield state
    state.member.close()


def feed(state, *numbers):
    state.broker.incoming += map(record, numbers)


def run(member):
    """Let a member settle what there is, however slow the machine is; return how much that was."""
    done = member.run_once()
    while member.is_busy and not member.is_stopped:
        done += member.run_once(timeout=0)
    return done


def attempts():
    return DeadLetter.objects.count()


def test_so_many_failures_in_a_row_stop_the_group_and_the_rest_stays_where_it_is(ship):
    ship.always = BAD
    feed(ship, *range(10))

    assert run(ship.member) == 3
    assert ship.member.is_stopped
    assert not ship.broker.incoming  # in hand, not started
    for _ in range(3):
        assert ship.member.run_once(timeout=0) == 0
    assert attempts() == 3
    assert ship.broker.subscriptions[0].committed[-1].offset == 2

    stop = StoppedGroup.objects.get()
    assert (stop.group, stop.release, stop.failed, stop.out_of) == ("shipping", "r1", 3, 3)
    assert (stop.error_class, stop.error_message) == ("ValueError", "no such column")
    assert stop.fingerprint == DeadLetter.objects.latest("pk").fingerprint
    assert stop.stopped_at is not None


def test_while_it_is_stopped_the_broker_is_not_asked_for_more(ship):
    ship.always = BAD
    feed(ship, *range(3))
    run(ship.member)
    polls = len(ship.broker.polls)
    feed(ship, 3)
    ship.member.run_once(timeout=0)

    assert len(ship.broker.polls) == polls


def test_what_was_known_before_the_stop_does_not_end_it(ship, monkeypatch):
    monkeypatch.setattr("django_dlq.consuming.stops.LOOK_EVERY", 3600.0)
    ship.always = BAD
    feed(ship, *range(9))
    run(ship.member)

    assert ship.member.run_once(timeout=0) == 0
    assert attempts() == 3


def test_a_success_in_between_begins_a_new_row(ship):
    ship.errors = {str(number): BAD for number in (0, 1, 3, 4, 6, 7)}
    feed(ship, *range(9))

    assert run(ship.member) == 9
    assert not ship.member.is_stopped


def test_a_person_lets_it_go_on_with_what_it_had_in_hand(ship):
    ship.always = BAD
    feed(ship, *range(5))
    run(ship.member)
    ship.always = None
    assert stops.resume("shipping", actor="ana", reason="the column is there now")

    assert run(ship.member) == 2
    assert ship.handled == ["3", "4"]
    assert not ship.member.is_stopped


def test_after_that_it_counts_anew_and_may_stop_again(ship):
    ship.always = BAD
    feed(ship, *range(20))
    run(ship.member)
    for times in (1, 2):
        stops.resume("shipping", actor="ana", reason="it will be fine")
        assert run(ship.member) == 3
        assert StoppedGroup.objects.filter(resumed_at__isnull=False).count() == times
    assert attempts() == 9


def test_all_members_of_the_release_stop_and_a_new_release_does_not(ship, settings):
    ship.always = BAD
    feed(ship, *range(3))
    run(ship.member)

    other = Consumer("shipping")
    feed(ship, 3)
    assert other.run_once(timeout=0) == 0
    assert other.is_stopped
    other.close()

    settings.DLQ_RELEASE = "r2"
    ship.always = None
    new = Consumer("shipping")
    assert run(new) == 1
    new.close()
    assert ship.handled == ["3"]


def test_of_two_that_stop_a_group_at_once_one_makes_the_stop():
    facts = {"handler": "h", "failed": 3, "out_of": 3, "error_class": "E", "error_message": "", "fingerprint": "f"}
    first, is_new = StoppedGroup.objects.stop(group="shipping", release="r1", **facts)
    second, is_new_too = StoppedGroup.objects.stop(group="shipping", release="r1", **facts)

    assert (first, is_new, is_new_too) == (second, True, False)
    assert first.end(reason="mended")
    assert not second.end(reason="mended too")
    assert StoppedGroup.objects.get().reason == "mended"


@pytest.mark.parametrize("decision", [RetryLater("soon"), Expired("late"), Skip("a test order")])
def test_what_says_nothing_about_the_code_neither_counts_nor_ends_a_row(ship, decision):
    ship.errors = {"0": BAD, "1": BAD, **{str(number): decision for number in range(2, 8)}}
    feed(ship, *range(8))
    assert run(ship.member) == 8
    assert not ship.member.is_stopped

    ship.errors["8"] = BAD
    feed(ship, 8)
    run(ship.member)
    assert ship.member.is_stopped


@pytest.fixture
def logistics(registry, broker):
    """Make a service that many failures must blame before its probe is asked, and of which nobody listens."""
    logistics = Logistics()
    logistics.watch(failures=5)
    logistics.serve("shipping")
    logistics.is_up = False
    return logistics


def settle_some(registry, guard, numbers):
    circuits = Circuits(registry.expect("shipping"), inline=True)
    for number in numbers:
        settle([delivery_of(record(number), "shipping")], circuits, guard)


def test_an_outage_is_no_storm_however_many_failures_open_its_circuit(logistics, registry):
    guard = StormGuard("shipping")  # three in a row would stop it
    settle_some(registry, guard, range(10))

    assert attempts() == 4  # the fifth opened the circuit, and paid nothing
    assert not guard.is_stopped


def test_what_looks_like_an_outage_while_the_probe_is_content_is_a_storm(logistics, registry):
    guard = StormGuard("shipping")
    logistics.lies = [True] * 9  # each fifth failure asks it
    settle_some(registry, guard, range(14))
    assert not guard.is_stopped
    settle_some(registry, guard, [14])

    assert attempts() == 15
    assert guard.is_stopped


def test_deadlocks_are_no_storm(ship):
    ship.always = OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")
    feed(ship, *range(5))

    assert run(ship.member) == 5
    assert attempts() == 5  # in a transaction of this test, in which nothing can be tried again
    assert not ship.member.is_stopped


def test_rejects_in_a_row_are_a_storm_too(ship):
    ship.always = Reject("no such product")
    feed(ship, *range(10))
    assert run(ship.member) == 3


def test_compensations_in_a_row_are_a_storm_too(registry, broker):
    refunded = []

    def fail(message):
        raise BAD

    rule = {ValueError: Compensate(lambda message, error: refunded.append(message.message_key))}
    inbox.handler("orders", group="shipping", on_failure=rule)(fail)
    member = Consumer("shipping")
    broker.incoming += map(record, range(10))
    run(member)
    member.close()

    assert refunded == ["0", "1", "2"]


def test_replays_and_duplicates_do_not_count(ship):
    ship.always = BAD
    for number in range(5):
        letter = consumer_letter("replaying", message_id=str(number), message_key=f"old-{number}")
        ship.broker.incoming.append(replay_record(letter, offset=number))
    run(ship.member)
    assert not ship.member.is_stopped

    ship.always, ship.errors = None, {"0": BAD, "1": BAD, "9": BAD}
    InboxMessage.objects.create(group="shipping", message_key="5", message_id="5", topic="orders")
    feed(ship, 0, 1, 5, 9)  # the duplicate is no success
    run(ship.member)
    assert ship.member.is_stopped


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_a_share_of_the_last_messages_stops_it_too(share):
    window = Window(in_row=None, share=share, size=100)
    trips = [number for number in range(1, 1000) if _fail_one_in(window, every=round(1 / share), number=number)]

    assert trips[0] == 100  # not before the window is full


def test_fewer_than_that_share_never_do():
    window = Window(in_row=3, share=0.5, size=100)
    assert not any(_fail_one_in(window, every=3, number=number) for number in range(1, 10_000))


def test_a_batch_that_succeeds_counts_as_many_as_it_has():
    window = Window(in_row=None, share=0.5, size=100)
    for _ in range(99):
        window.failed()
    window.succeeded(5000)

    assert window.failed() is None


def test_handlers_are_counted_apart(registry, broker):
    @inbox.handler("orders", group="shipping", tags=["bad"])
    def fail(message):
        raise BAD

    @inbox.handler("orders", group="shipping", tags=["good"])
    def work(message):
        pass

    def tagged(number):
        plain = record(number)
        tag = b"bad" if number % 2 else b"good"
        return plain._replace(headers=(*plain.headers, ("dlq-tag", tag)))

    member = Consumer("shipping")
    broker.incoming += map(tagged, range(20))
    run(member)
    member.close()

    assert attempts() == 3
    assert StoppedGroup.objects.get().handler.endswith("fail")


def test_a_batch_is_left_alone_as_soon_as_the_group_must_stop(registry, broker):
    @inbox.handler("orders", group="shipping", batch_size=8)
    def fail(messages):
        raise BAD

    member = Consumer("shipping")
    broker.incoming += map(record, range(8))
    run(member)
    member.close()

    assert attempts() == 3


@pytest.mark.django_db(transaction=True)
def test_with_threads_no_more_fail_than_were_running(registry, broker):
    @inbox.handler("orders", group="shipping", concurrency=4)
    def fail(message):
        raise BAD

    member = Consumer("shipping")
    broker.incoming += map(record, range(50))
    while not StoppedGroup.objects.exists():
        member.run_once(timeout=0.01)
    member.close()

    assert 3 <= attempts() <= 3 + 4


def test_none_and_none_turn_it_off(settings, registry, broker, django_assert_num_queries):
    settings.DLQ_STORM_IN_ROW = None
    guard = StormGuard("shipping")
    with django_assert_num_queries(0):
        guard.look()
    failed = SimpleNamespace(name="h")
    for _ in range(500):
        guard.failed(None, failed, BAD, object())
    assert not guard.is_stopped


def test_the_database_is_asked_at_most_once_a_second(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("django_dlq.consuming.stops.LOOK_EVERY", 1.0)
    known = Stops()
    with django_assert_num_queries(1):
        for _ in range(100):
            known.look()


def test_a_stop_that_could_not_be_written_is_written_later(ship, monkeypatch):
    ship.always = BAD
    feed(ship, *range(5))
    with monkeypatch.context() as patches:
        patches.setattr(storm, "_write", lambda *_: (_ for _ in ()).throw(OperationalError("gone")))
        for _ in range(2):
            with pytest.raises(OperationalError, match="gone"):
                run(ship.member)
        assert ship.member.is_stopped
    ship.member.run_once(timeout=0)

    assert StoppedGroup.objects.exists()
    assert attempts() == 3


def test_it_says_so_at_once_and_then_every_minute(ship, monkeypatch, caplog):
    told = []

    def hear(stop, is_new, **_):
        told.append(is_new)

    signals.group_stopped.connect(hear)
    ship.always = BAD
    feed(ship, *range(3))
    with caplog.at_level(logging.ERROR, "django_dlq"):
        for _ in range(3):
            ship.member.run_once(timeout=0)
        assert told == [True]
        monkeypatch.setattr(storm, "SAY_EVERY", 0.0)
        ship.member.run_once(timeout=0)
    signals.group_stopped.disconnect(hear)

    assert told == [True, False]
    text = " ".join(caplog.messages)
    assert "group shipping in release r1 is stopped since" in text
    assert "group shipping in release r1 is still stopped" in text
    assert "3 of 3 fresh messages" in text
    assert "ValueError: no such column" in text


def test_what_is_taken_away_meanwhile_is_dropped(ship):
    ship.always = BAD
    feed(ship, *range(5))
    run(ship.member)
    assert ship.member.is_busy
    ship.broker.subscriptions[0].lost = {("orders", 0)}
    ship.member.run_once(timeout=0)

    assert not ship.member.is_busy


def _fail_one_in(window, *, every, number):
    if number % every == 0:
        return window.failed() is not None
    window.succeeded(1)
    return False
