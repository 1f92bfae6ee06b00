import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connections, transaction

from django_dlq import burial, deadletters, inbox, retries, signals
from django_dlq.consuming import attempts, rates, shared
from django_dlq.consuming.quiet import Quiet
from django_dlq.consuming.rates import Rates
from django_dlq.consuming.shared import Shared
from django_dlq.exceptions import Reject, RetryLater, UnknownHandler
from django_dlq.fingerprint import Failure
from django_dlq.models import Circuit, DeadLetter, InboxMessage, State, database_now, in_future
from django_dlq.registry import Handler
from django_dlq.retries import Retries
from django_dlq.runner import until_idle
from tests.letters import consumer_letter, timeline
from tests.outages import NAME, Logistics, open_by_itself
from tests.shop.models import Box
from tests.stopped import stop

pytestmark = pytest.mark.django_db


def due(message_key="order-1", *, ago=60, **columns):
    return consumer_letter(
        State.RETRYING, message_key=message_key, next_attempt_at=in_future(timedelta(seconds=-ago)), **columns
    )


def pack(message):
    Box.objects.create(order=message.message_key)


def pack_bills(message):
    pack(message)


@pytest.fixture
def shop(registry):
    inbox.handler("orders", group="shipping")(pack)
    return registry


def handled_by(registry, function, **options):
    registry.handlers.clear()
    inbox.handler("orders", group="shipping", **options)(function)


def raising(error):
    def handle(message):
        pack(message)
        raise error

    return handle


def boxes():
    return list(Box.objects.order_by("pk").values_list("order", flat=True))


def test_an_attempt_that_is_due_is_made_and_settles_its_letter(shop):
    letter = due()

    assert Retries().run_once() == 1
    letter.refresh_from_db()
    assert (letter.state, boxes()) == (State.RESOLVED, ["order-1"])
    assert timeline(letter) == [("resolved", "retries")]
    assert InboxMessage.objects.get().message_key == "order-1"


def test_a_batch_handler_is_given_a_list_of_one(registry):
    seen = []
    handled_by(registry, lambda messages: seen.append([one.message_key for one in messages]), batch_size=10)
    due("1")
    due("2")

    assert Retries().run_once() == 2
    assert sorted(seen) == [["1"], ["2"]]


def test_what_is_not_due_waits(shop):
    due("later", ago=-60)
    consumer_letter(State.DEAD, message_key="dead", next_attempt_at=in_future(timedelta(-1)))

    assert Retries().run_once() == 0
    assert boxes() == []


def test_the_longest_due_comes_first(shop):
    due("second", ago=60)
    due("first", ago=120)

    assert Retries().run_once() == 2
    assert boxes() == ["first", "second"]


def test_the_retries_of_a_group_leave_those_of_others_alone(shop):
    inbox.handler("orders", group="billing")(boxes)
    due("theirs", group="billing")
    due("ours")

    assert Retries("shipping").run_once() == 1
    assert boxes() == ["ours"]
    assert DeadLetter.objects.get(state=State.RETRYING).message_key == "theirs"


def test_a_group_that_nobody_handles_is_a_mistake_that_names_the_groups(shop):
    with pytest.raises(UnknownHandler, match="'shiping'; the groups are: shipping"):
        Retries("shiping")


def test_a_long_round_is_interrupted_so_that_a_sigterm_is_heard(shop, monkeypatch):
    monkeypatch.setattr(retries, "SECONDS_PER_ROUND", 0.0)
    due()

    assert Retries().run_once() == 0


def test_a_round_that_takes_long_to_look_around_tries_something_nevertheless(shop, monkeypatch):
    seconds = 0.0

    def look(self):
        nonlocal seconds
        seconds += 60

    monkeypatch.setattr(retries, "time", SimpleNamespace(monotonic=lambda: seconds))
    monkeypatch.setattr(retries.Circuits, "look", look)
    due()

    assert Retries().run_once() == 1


def test_a_round_has_its_end(shop, monkeypatch):
    monkeypatch.setattr(retries, "BATCH", 2)
    for n in range(3):
        due(str(n))

    assert [Retries().run_once() for _ in range(3)] == [2, 1, 0]


def test_the_handler_is_given_the_message_as_it_was(registry):
    seen = []
    handled_by(registry, seen.append)
    sent_at = datetime(2026, 1, 2, tzinfo=UTC)
    headers = (("trace", b"\xff"), ("trace", None))
    due(
        attempts=4, key="\\xff", raw_key=b"\xff", body=b"\x00", headers=headers, tag="paid",
        partition=3, offset=7, sent_at=sent_at, message_id="m-1",
    )  # fmt: skip
    Retries().run_once()

    (message,) = seen
    assert (message.attempt, message.group, message.tag) == (5, "shipping", "paid")
    assert (message.message_id, message.message_key) == ("m-1", "order-1")
    assert (message.record.key, message.record.body, message.record.headers) == (b"\xff", b"\x00", headers)
    assert (message.record.partition, message.record.offset, message.record.timestamp) == (3, 7, sent_at)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), BaseException("odd")], ids=repr)
def test_a_failure_waits_for_the_next_step_and_the_handlers_rows_are_gone(registry, error):
    handled_by(registry, raising(error))
    letter = due(attempts=1)
    Retries().run_once()

    letter.refresh_from_db()
    assert (letter.state, letter.attempts, letter.error_message) == (State.RETRYING, 2, str(error))
    wait = letter.next_attempt_at - database_now("default")
    assert timedelta(seconds=28) < wait <= timedelta(seconds=30)
    assert boxes() == []
    assert not InboxMessage.objects.exists()


def test_ctrl_c_is_no_failure_of_the_message(registry):
    handled_by(registry, raising(KeyboardInterrupt()))
    due()

    with pytest.raises(KeyboardInterrupt):
        Retries().run_once()
    assert DeadLetter.objects.get().attempts == 1


def test_the_ladder_ends_in_a_dead_letter_after_seventeen_attempts(registry):
    handled_by(registry, raising(ValueError("no")))
    letter = due()
    # The first step, of 10 s, was waited for after the consumer's own attempt.
    for step in (30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200):
        before = make_it_due()
        assert Retries().run_once() == 1
        letter.refresh_from_db()
        assert before <= letter.next_attempt_at - timedelta(seconds=step) <= database_now("default")

    make_it_due()
    assert Retries().run_once() == 1
    letter.refresh_from_db()
    assert (letter.state, letter.attempts, letter.next_attempt_at) == (State.DEAD, 17, None)
    assert Retries().run_once() == 0


def make_it_due():
    now = database_now("default")
    DeadLetter.objects.filter(state=State.RETRYING).update(next_attempt_at=now)
    return now


@pytest.mark.parametrize(("error", "state"), [(Reject("no"), "dead"), (RetryLater("busy"), "retrying")])
def test_the_handler_decides(registry, error, state):
    handled_by(registry, raising(error))
    letter = due()
    Retries().run_once()

    letter.refresh_from_db()
    assert letter.state == state


@pytest.mark.parametrize("group", [None, "shipping"])
def test_what_no_handler_of_this_release_takes_is_left_to_those_of_another(registry, group):
    inbox.handler("orders", group="shipping", tags=["paid"])(pack)
    letters = [due("1", group="billing"), due("2", topic="returns"), due("3", tag="new")]
    taken = due("4", tag="paid")

    assert Retries(group).run_once() == 1
    assert DeadLetter.objects.get(state=State.RESOLVED) == taken
    assert {(each.state, each.attempts) for each in DeadLetter.objects.exclude(pk=taken.pk)} == {
        (State.RETRYING, letters[0].attempts)
    }


def test_a_handler_that_is_no_longer_there_for_a_day_makes_the_letter_dead_and_says_so(registry):
    letter = due(handler="shop.handlers.ship", ago=24 * 3600 + 1)
    Retries().run_once()

    letter.refresh_from_db()
    assert (letter.state, letter.error_class) == (State.DEAD, "django_dlq.exceptions.UnknownHandler")
    assert "'shipping'" in letter.error_message
    assert "shop.handlers.ship" in letter.error_message


def test_what_was_handled_meanwhile_is_settled_without_handling_it_again(shop):
    letter = due()
    InboxMessage.objects.create(group="shipping", message_key="order-1", message_id="m-1", topic="orders")
    Retries().run_once()

    letter.refresh_from_db()
    assert (letter.state, boxes()) == (State.RESOLVED, [])


def test_a_message_that_expires_while_it_waits_is_dead_and_says_so(shop):
    letter = due(headers=(("dlq-expires", b"2020-01-01T00:00:00+00:00"),))
    Retries().run_once()

    letter.refresh_from_db()
    assert (letter.state, letter.error_class) == (State.DEAD, "django_dlq.exceptions.Expired")
    assert boxes() == []


def test_receivers_are_told_what_became_of_an_attempt(shop):
    told = []

    def handled(sender, message, handler, **_):
        told.append((sender, message.message_key, handler.name))

    def skipped(sender, message, why, **_):
        told.append((sender, message.message_key, why))

    signals.message_handled.connect(handled)
    signals.message_skipped.connect(skipped)
    due("1")
    due("2", ago=30)
    InboxMessage.objects.create(group="shipping", message_key="2", message_id="2", topic="orders")
    Retries().run_once()
    signals.message_handled.disconnect(handled)
    signals.message_skipped.disconnect(skipped)

    assert told == [(Retries, "1", "tests.test_retries.pack"), (Retries, "2", "duplicate")]


def test_what_somebody_decided_during_a_failing_attempt_stands(registry, monkeypatch):
    handled_by(registry, raising(ValueError("no")))
    letter = due()
    describe = Failure.of

    def discarded_meanwhile(*arguments, **options):
        deadletters.discard(DeadLetter.objects.get(), actor="ana", reason="a test order")
        return describe(*arguments, **options)

    monkeypatch.setattr(Failure, "of", discarded_meanwhile)
    assert Retries().run_once() == 1
    letter.refresh_from_db()
    assert (letter.state, letter.attempts) == (State.DISCARDED, 1)


def test_a_database_that_is_gone_costs_no_attempt(registry, monkeypatch):
    handled_by(registry, raising(OperationalError("gone")))
    monkeypatch.setattr(attempts, "lost_connection", lambda error: isinstance(error, OperationalError))
    due()

    with pytest.raises(OperationalError):
        Retries().run_once()
    assert DeadLetter.objects.get().attempts == 1


def test_an_error_before_there_is_a_letter_is_raised(monkeypatch):
    monkeypatch.setattr(retries, "lock_first", lambda *_: pytest.fail("as a database would"))

    with pytest.raises(pytest.fail.Exception):
        Retries().run_once()


def test_closing_has_nothing_to_give_back(shop):
    machine = Retries()
    machine.close()
    due()
    assert machine.run_once() == 1


@pytest.mark.django_db(transaction=True)
def test_a_letter_that_one_process_has_in_hand_others_pass_over(registry):
    inside, may_end = threading.Event(), threading.Event()
    attempts = []

    def handle(message):
        attempts.append(message.message_key)
        if message.message_key == "slow":
            inside.set()
            assert may_end.wait(30)

    handled_by(registry, handle)
    due("slow", ago=120)
    due("other", ago=60)

    def other_process():
        try:
            Retries().run_once()
        finally:
            connections.close_all()

    process = threading.Thread(target=other_process)
    process.start()
    assert inside.wait(30)
    if connections["default"].features.has_select_for_update_skip_locked:
        assert Retries().run_once() == 1
        assert attempts == ["slow", "other"]
    may_end.set()
    process.join(30)
    assert attempts == ["slow", "other"]
    assert DeadLetter.objects.filter(state=State.RESOLVED).count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_handlers_rows_and_the_settled_letter_are_one_transaction(shop, monkeypatch):
    due()

    def fails(*_, **__):
        assert transaction.get_connection().in_atomic_block
        raise OperationalError("disk full")

    monkeypatch.setattr(burial, "resolve", fails)
    Retries().run_once()

    assert boxes() == []
    assert not InboxMessage.objects.exists()
    assert DeadLetter.objects.get().error_message == "disk full"


@pytest.mark.parametrize("group", [None, "shipping"])
def test_a_group_that_is_stopped_in_this_release_pays_no_attempts(shop, settings, group):
    letter = due()
    settings.DLQ_RELEASE = "r1"
    stop(release="r1")
    assert Retries(group).run_once() == 0
    letter.refresh_from_db()
    assert (letter.state, letter.attempts) == (State.RETRYING, 1)

    settings.DLQ_RELEASE = "r2"
    assert Retries(group).run_once() == 1


def test_the_others_retries_go_on_meanwhile(shop):
    due()
    stop("billing")

    assert Retries().run_once() == 1


class Death(KeyboardInterrupt):
    """The end of a process: nothing is caught, and nothing is written down."""


def dies():
    """Let a process make what is due, and tell whether it has died of it."""
    DeadLetter.objects.filter(state=State.RETRYING).update(next_attempt_at=in_future(timedelta(seconds=-60)))
    try:
        Retries().run_once()
    except Death:
        return True
    return False


class TestDeaths:
    def test_a_retry_that_kills_its_process_is_dead_after_some_deaths(self, registry):
        calls = []

        def handle(message):
            calls.append(message.attempt)
            raise Death

        handled_by(registry, handle)
        letter = due()
        for deaths in (1, 2, 3):
            assert dies()
            letter.refresh_from_db()
            assert (letter.state, letter.attempts, letter.deaths) == (State.RETRYING, 1, deaths)
        assert not dies()
        assert len(calls) == 3
        letter.refresh_from_db()
        assert (letter.state, letter.attempts, letter.deaths) == (State.DEAD, 2, 0)
        assert letter.error_class == "django_dlq.exceptions.ProcessDied"
        assert "its process died 3 times while it was handled" in letter.error_message

    def test_an_attempt_that_comes_to_an_end_is_no_death(self, registry):
        handled_by(registry, raising(ValueError("no")))
        letter = due(deaths=2)
        assert not dies()
        letter.refresh_from_db()
        assert (letter.state, letter.attempts, letter.deaths) == (State.RETRYING, 2, 0)

    def test_what_was_in_hand_at_a_death_is_made_alone_and_others_beside_each_other(self, registry, monkeypatch):
        ways = []
        monkeypatch.setattr(retries, "quiet", quiet := Quiet())
        handled_by(registry, lambda message: ways.append((message.message_key, quiet._is_alone)))
        due("new", ago=120)
        due("suspect", deaths=1)
        assert Retries().run_once() == 2
        assert ways == [("new", False), ("suspect", True)]

    def test_an_outage_of_the_database_is_no_death_and_the_retry_is_due_at_once(self, registry, monkeypatch):
        handled_by(registry, raising(OperationalError("gone")))
        letter = due()
        machine = Retries()
        with monkeypatch.context() as broken:
            broken.setattr(attempts, "lost_connection", lambda error: isinstance(error, OperationalError))
            for _ in range(5):
                with pytest.raises(OperationalError):
                    machine.run_once()
        letter.refresh_from_db()
        assert (letter.attempts, letter.deaths) == (1, 1)
        handled_by(registry, pack)
        assert machine.run_once() == 1
        assert boxes() == ["order-1"]

    def test_what_another_process_has_taken_meanwhile_is_left_to_it(self, shop, monkeypatch):
        letter = due(deaths=1)
        machine, quiet = Retries(), Quiet()

        @contextmanager
        def alone():
            DeadLetter.objects.update(deaths=2)
            yield

        monkeypatch.setattr(quiet, "alone", alone)
        monkeypatch.setattr(retries, "quiet", quiet)
        assert machine._attempt_next()
        letter.refresh_from_db()
        assert (letter.state, letter.deaths, boxes()) == (State.RETRYING, 2, [])

    def test_what_somebody_does_between_the_claim_and_the_attempt_stands(self, shop, monkeypatch):
        letter = due()
        quiet = Quiet()

        @contextmanager
        def beside():
            deadletters.discard(DeadLetter.objects.get(), actor="ana", reason="a test order")
            yield

        monkeypatch.setattr(quiet, "beside", beside)
        monkeypatch.setattr(retries, "quiet", quiet)
        assert Retries().run_once() == 1
        letter.refresh_from_db()
        assert (letter.state, boxes()) == (State.DISCARDED, [])

    def test_the_circuit_that_takes_the_blame_takes_the_death_back(self, registry):
        logistics = Logistics()
        registry.handlers.clear()
        logistics.serve("shipping")
        logistics.is_up = False
        for number in range(5):
            due(str(number), ago=100 - number)
        assert Retries().run_once() == 5
        assert set(DeadLetter.objects.values_list("deaths", flat=True)) == {0}
        waiting = DeadLetter.objects.get(dependency=NAME, attempts=1)
        assert waiting.next_attempt_at < database_now("default")


class TestThreads:
    def test_there_are_as_many_as_calls_may_run_at_once_and_no_more_than_eight(self, registry):
        registry.handlers.clear()
        inbox.handler("orders", group="shipping", concurrency=2)(pack)
        inbox.handler("bills", group="shipping")(boxes)
        one = connections["default"].vendor == "sqlite"
        assert len(Retries.several("shipping")) == (1 if one else 3)
        inbox.handler("refunds", group="shipping", concurrency=50)(raising)
        assert len(Retries.several("shipping")) == (1 if one else 8)

    def test_those_that_help_look_for_nothing_while_nobody_is_at_work(self, shop, django_assert_num_queries):
        due()
        first = Retries("shipping")
        helper = Retries("shipping", shared=first._shared)
        with django_assert_num_queries(0):
            assert helper.run_once() == 0
        first._shared.began(None)
        assert helper.run_once() == 1

    def test_no_more_retries_of_a_handler_are_made_at_once_than_it_allows_and_others_go_on(self, registry):
        registry.handlers.clear()
        inbox.handler("orders", group="shipping")(pack)
        inbox.handler("bills", group="shipping")(pack_bills)
        first = Retries("shipping")
        first._shared.began(registry.match("shipping", "orders", ""))
        due("held", ago=120)
        due("other", topic="bills")
        DeadLetter.objects.filter(message_key="held").update(handler=f"{__name__}.pack")
        assert Retries("shipping", shared=first._shared).run_once() == 1
        assert boxes() == ["other"]


class Clock:
    """Time that passes only where somebody waits."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class TestRate:
    @pytest.fixture
    def clock(self, monkeypatch):
        clock = Clock()
        for module in (retries, rates, shared):
            monkeypatch.setattr(module, "time", clock)
        return clock

    def test_a_rate_holds_for_retries_too(self, registry, clock):
        times = []
        handled_by(registry, lambda message: times.append(clock.now), rate_limit="10/s")
        for number in range(12):
            due(str(number))
        assert until_idle(Retries("shipping")) == 12
        assert times == pytest.approx([number / 10 for number in range(12)], abs=0.02)

    def test_what_waits_for_its_rate_is_not_left_behind_when_it_is_run_until_nothing_is_left(self, registry, clock):
        handled_by(registry, pack, rate_limit="20/min")
        due("1", ago=120)
        due("2")
        assert until_idle(Retries()) == 2
        assert clock.now == pytest.approx(3, abs=0.1)

    def test_it_is_the_same_rate_as_that_of_fresh_messages_where_one_process_has_both(self, registry, clock):
        handled_by(registry, pack, rate_limit="1/min")
        (handler,) = registry.handlers
        fresh = Rates([handler])
        fresh.there(handler, "fresh")
        fresh.take(handler, "fresh")
        due()
        assert Retries("shipping", rates=fresh).run_once() == 0
        assert Retries("shipping").run_once() == 1

    def test_other_handlers_retries_do_not_wait_for_it(self, registry, clock):
        handled_by(registry, pack_bills, rate_limit="1/min")
        inbox.handler("bills", group="shipping")(pack)
        for number in range(5):
            due(str(number), ago=120)
            due(f"bill {number}", topic="bills")
        machine = Retries()
        assert sum(machine.run_once() for _ in range(3)) == 6
        assert sorted(boxes()) == ["0", *(f"bill {number}" for number in range(5))]
        due("later", topic="bills")
        assert [machine.run_once() for _ in range(3)].count(1) == 1
        assert "later" in boxes()

    def test_while_only_those_that_must_wait_are_due_nobody_looks_for_others_all_the_time(self, registry, clock):
        everything = Shared(Rates(()))
        first, other = (Handler(function=function, topics=("orders",), group="g") for function in (pack, boxes))
        assert everything.may_look_past([first])
        everything.found_nothing_past([first], seconds=0.02)
        assert not everything.may_look_past([first])
        assert everything.may_look_past([first, other])
        clock.now += 0.4
        assert everything.may_look_past([first])
        everything.found_nothing_past([first], seconds=60)
        clock.now += 1
        assert everything.may_look_past([first])

    def test_no_message_is_claimed_to_try_a_dependency_before_the_rate_allows_it(self, registry, clock, monkeypatch):
        registry.handlers.clear()
        logistics = Logistics()
        logistics.serve("shipping", rate_limit="1/min")
        open_by_itself(state=Circuit.HALF_OPEN)
        due(dependency=NAME)
        machine = Retries("shipping")
        (handler,) = registry.handlers
        machine._shared.rates.there(handler, "fresh")
        machine._shared.rates.take(handler, "fresh")
        with monkeypatch.context() as early:
            early.setattr(machine._circuits, "allowance", lambda handler: pytest.fail("it is too early"))
            assert machine.run_once() == 0
        clock.now += 60
        assert machine.run_once() == 1
