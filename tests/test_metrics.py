"""What waits, who sends it, and what is in its way: counted, and guessed where counting would take too long."""

import json
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_dlq import metrics
from django_dlq.checkers import Checkers
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.message import LANES
from django_dlq.models import (
    BrokerOutage,
    HalfMessage,
    InboxMessage,
    OutboxMessage,
    PublishedMessage,
    RelayLane,
    RelayProcess,
    State,
    backlog,
    in_future,
    inflow,
    lately,
    outflow,
    quick_read,
)
from django_dlq.models.backlog import Backlog, Counted
from django_dlq.relay import Relay
from tests.half_messages import answering, due
from tests.letters import consumer_letter
from tests.scripted_broker import ScriptedBroker

pytestmark = pytest.mark.django_db

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def write(count: int = 1, **columns: object) -> None:
    OutboxMessage.objects.bulk_create(
        OutboxMessage(**{"topic": "orders", "body": b"{}"} | columns) for _ in range(count)
    )


def run_relay(owner: str, *lanes: int, rate: float = 0.0, lease: timedelta = MINUTE) -> None:
    RelayProcess.objects.create(owner=owner, alive_until=in_future(lease), sent=10, rate=rate)
    for lane in lanes:
        RelayLane.objects.create(lane=lane, owner=owner, epoch=1, leased_until=in_future(lease))


def publish(pk: int, *, seconds_ago: float, lag: float = 0.0, topic: str = "orders", lane: int = 0) -> None:
    PublishedMessage.objects.create(
        outbox_id=pk,
        topic=topic,
        lane=lane,
        published_at=in_future(-seconds_ago * SECOND),
        created_at=in_future(-(seconds_ago + lag) * SECOND),
    )


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count no more than ten rows one by one, so that few are many."""
    monkeypatch.setattr(backlog, "MOST_ROWS", 10)
    monkeypatch.setattr(backlog, "MOST_SCATTERED", 10)


class TestOutbox:
    def test_an_empty_outbox_is_known_to_be_empty(self) -> None:
        found = metrics.outbox()

        assert (found.due, found.delayed, found.oldest_due_seconds) == (0, 0, 0.0)
        assert found.due_exact
        assert found.delayed_exact
        assert (found.topics, found.lanes, found.brokers) == ({}, {}, {})

    def test_what_waits_is_counted_by_topic_lane_and_broker(self) -> None:
        write(3, lane=1)
        write(2, lane=2, topic="payments", broker="second")
        write(1, lane=2, due_at=in_future(HOUR))
        found = metrics.outbox()

        assert (found.due, found.delayed) == (5, 1)
        assert found.due_exact
        assert {name: (share.due, share.delayed) for name, share in found.topics.items()} == {
            "orders": (3, 1),
            "payments": (2, 0),
        }
        assert {lane: (share.due, share.delayed) for lane, share in found.lanes.items()} == {1: (3, 0), 2: (2, 1)}
        assert {name: share.due for name, share in found.brokers.items()} == {"default": 3, "second": 2}

    def test_the_oldest_message_waits_since_it_was_written_or_since_it_was_due(self) -> None:
        write(created_at=in_future(-MINUTE))
        write(topic="delayed", created_at=in_future(-HOUR), due_at=in_future(-10 * SECOND))
        write(topic="later", created_at=in_future(-HOUR), due_at=in_future(HOUR))
        found = metrics.outbox()

        assert 60 <= found.oldest_due_seconds < 70
        assert 60 <= found.topics["orders"].oldest_due_seconds < 70
        assert 10 <= found.topics["delayed"].oldest_due_seconds < 20
        assert found.topics["later"].oldest_due_seconds == 0

    @pytest.mark.usefixtures("bounds")
    def test_beyond_the_bound_it_is_a_guess_and_says_so(self) -> None:
        write(1, topic="first", created_at=in_future(-HOUR))
        write(199, created_at=in_future(-MINUTE))
        found = metrics.outbox()

        assert not found.due_exact
        assert found.delayed_exact
        assert 100 <= found.due <= 300
        assert 3600 <= found.oldest_due_seconds < 3610
        assert 60 <= found.topics["orders"].oldest_due_seconds < 70

    @pytest.mark.usefixtures("bounds")
    def test_many_delayed_messages_make_no_guess_of_the_due_ones(self) -> None:
        write(3)
        write(50, due_at=in_future(HOUR))
        found = metrics.outbox()

        assert found.due == 3
        assert found.due_exact
        assert not found.delayed_exact
        assert found.delayed >= 11

    @pytest.mark.usefixtures("bounds")
    def test_no_part_of_a_long_outbox_is_read_without_a_bound(self) -> None:
        write(40)
        write(40, due_at=in_future(-HOUR))
        with CaptureQueriesContext(connection) as captured:
            metrics.outbox()

        reads = [query["sql"] for query in captured if "COUNT(*)" in query["sql"]]
        assert len(reads) == 4
        assert all("LIMIT 11" in sql or "TABLESAMPLE" in sql for sql in reads)

    def test_of_what_cannot_be_read_in_time_at_least_the_newest_is_counted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(40, created_at=in_future(-MINUTE))
        monkeypatch.setattr(backlog, "MOST_ROWS", 10)
        monkeypatch.setattr(backlog, "_sampled", lambda _using: Backlog(Counted(), Counted()))
        last = max(OutboxMessage.objects.values_list("pk", flat=True))
        if connection.vendor == "sqlite":  # which needs no such thing
            monkeypatch.setattr(backlog, "_last_id", lambda _using: last)
        in_time = [False, True, True, True]

        def read(*arguments: Any, **options: Any) -> object:
            return quick_read.quick_read(*arguments, **options) if in_time.pop(0) else None

        monkeypatch.setattr(backlog, "quick_read", read)
        found = metrics.outbox()

        assert not found.due_exact
        assert 9 <= found.due <= 10
        assert 60 <= found.oldest_due_seconds < 70

    def test_what_is_delayed_and_cannot_be_read_in_time_is_not_taken_for_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(5, due_at=in_future(HOUR))
        monkeypatch.setattr(backlog, "_last_id", lambda _using: 0)
        monkeypatch.setattr(backlog, "quick_read", lambda *_arguments, **_options: None)
        found = metrics.outbox()

        assert not found.due_exact
        assert not found.delayed_exact
        assert connection.vendor != "postgresql" or found.delayed == 5


class TestQuickRead:
    SLOW = {
        "postgresql": "SELECT pg_sleep(2)",
        "mysql": "SELECT SLEEP(2)",
    }

    def test_a_statement_that_takes_long_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(quick_read, "LONGEST", 0.02)
        sql = self.SLOW.get(connection.vendor)
        with transaction.atomic():
            assert not sql or quick_read.quick_read(sql, (), using="default") is None
            # The caller's transaction goes on, with its own settings.
            assert quick_read.quick_read("SELECT 1", (), using="default") == [(1,)]

    def test_the_first_rows_are_read_along_the_index_whatever_the_statistics_say(self) -> None:
        if connection.vendor == "postgresql":
            write(2000)
            first = str(OutboxMessage.objects.filter(due_at=None).order_by("id")[:1000].query)
            plan = quick_read.quick_read(f"EXPLAIN {first}", (), using="default")

            assert "Index Scan using django_dlq_outboxmessage_pkey" in str(plan)

    def test_mysql_reads_along_the_same_indexes(self) -> None:
        write(5)
        with CaptureQueriesContext(connection) as captured:
            metrics.outbox()
        forced = [found for query in captured for found in re.findall(r"FORCE INDEX \((\w+)\)", query["sql"])]
        names = ["PRIMARY", "dlq_outbox_delayed", "dlq_outbox_delayed"]

        assert forced == (names if connection.vendor == "mysql" else [])

    def test_another_error_is_not_taken_for_slowness(self) -> None:
        with pytest.raises(DatabaseError), transaction.atomic():
            quick_read.quick_read("SELECT nonsense", (), using="default")

    def test_the_callers_settings_are_left_as_they_were(self) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '77s'")
                quick_read.quick_read("SELECT 1", (), using="default")
                cursor.execute("SELECT current_setting('statement_timeout'), current_setting('enable_seqscan')")
                assert cursor.fetchone() == ("77s", "on")


class TestRelays:
    def test_a_relay_that_runs_has_its_lanes_and_its_rate(self) -> None:
        run_relay("one", 0, 1, rate=12.5)
        run_relay("two", 5, rate=7.5)
        found = metrics.relays()

        assert [(relay.owner, relay.lanes, relay.sent, relay.rate) for relay in found.alive] == [
            ("one", (0, 1), 10, 12.5),
            ("two", (5,), 10, 7.5),
        ]
        assert found.rate == 20
        assert len(found.free_lanes) == LANES - 3

    def test_the_lanes_of_a_relay_that_has_fallen_silent_are_free(self) -> None:
        run_relay("gone", 0, lease=-SECOND)
        RelayLane.objects.create(lane=1, owner="never heard of", epoch=1, leased_until=in_future(MINUTE))
        found = metrics.relays()

        assert found.alive == ()
        assert found.free_lanes == tuple(range(LANES))


class TestARelayAtWork:
    def test_it_has_its_lanes_and_says_which_broker_it_cannot_reach(self, broker: ScriptedBroker) -> None:
        broker.outage = BrokerUnavailable("no route to host")
        write()
        relay = Relay()
        relay.run_once()
        told = metrics.snapshot()

        assert [state.owner for state in told.relays.alive] == [relay.owner]
        assert told.relays.free_lanes == ()
        assert [(outage.broker, outage.relays) for outage in told.outages] == [("default", (relay.owner,))]
        assert "no route to host" in told.outages[0].reason
        assert told.outbox.due == 1

        relay.close()
        assert metrics.relays().alive == ()
        assert len(metrics.relays().free_lanes) == LANES
        assert metrics.outages() == ()

    def test_what_it_has_sent_is_no_more_in_the_outbox_but_in_the_rate(self, broker: ScriptedBroker) -> None:
        write(3)
        relay = Relay()
        relay.run_once()
        relay.close()
        told = metrics.snapshot()

        assert (told.outbox.due, told.outages) == (0, ())
        assert told.published.rate == pytest.approx(3 / 60)


class TestPublished:
    def test_the_newest_of_the_history_tell_rate_and_lag(self) -> None:
        publish(1, seconds_ago=90, lag=50)
        publish(2, seconds_ago=1, lag=2)
        publish(3, seconds_ago=1, lag=4)
        found = metrics.published()

        assert found.rate == pytest.approx(2 / 60)
        assert found.lag_seconds == pytest.approx(3, abs=0.1)
        assert found.longest_lag_seconds == pytest.approx(4, abs=0.1)

    def test_nothing_published_lately_is_no_rate_and_no_lag(self) -> None:
        found = metrics.published()

        assert (found.rate, found.lag_seconds, found.longest_lag_seconds) == (0, 0, 0)

    def test_what_is_sent_late_counts_though_its_id_is_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lately, "MOST_READ", 4)
        for pk in range(3):  # of a topic that was paused
            publish(pk, seconds_ago=1, lag=3600)
        for pk in range(10, 20):
            publish(pk, seconds_ago=600)
        found = metrics.published()

        assert (found.rate, found.seconds, found.exact) == (3 / 60, 60, True)
        assert found.lag_seconds == pytest.approx(3600, abs=0.1)

    def test_rate_and_lag_are_told_by_topic_and_lane(self) -> None:
        publish(1, seconds_ago=1, lag=2, topic="orders", lane=1)
        publish(2, seconds_ago=1, lag=4, topic="orders", lane=7)
        publish(3, seconds_ago=1, lag=9, topic="payments", lane=7)
        found = metrics.published()

        assert {topic: round(pace.rate * 60) for topic, pace in found.topics.items()} == {"orders": 2, "payments": 1}
        assert {lane: round(pace.rate * 60) for lane, pace in found.lanes.items()} == {1: 1, 7: 2}
        assert found.topics["orders"].lag_seconds == pytest.approx(3, abs=0.1)
        assert found.topics["orders"].longest_lag_seconds == pytest.approx(4, abs=0.1)
        assert found.lanes[7].lag_seconds == pytest.approx(6.5, abs=0.1)
        assert found.longest_lag_seconds == pytest.approx(9, abs=0.1)

    def test_a_message_keeps_its_lane_in_the_history(self) -> None:
        row = OutboxMessage(topic="orders", key="7", body=b"")
        row.save()
        assert row.lane
        OutboxMessage.objects.complete([(row.pk, 0, 0)])

        assert PublishedMessage.objects.get().lane == row.lane

    def test_of_a_fast_history_fewer_seconds_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lately, "MOST_READ", 4)
        for pk in range(4):
            publish(pk, seconds_ago=5)
        publish(9, seconds_ago=30)
        found = metrics.published()

        assert (found.rate, found.seconds, found.exact) == (4 / 10, 10, True)

    def test_in_the_shortest_window_all_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lately, "MOST_READ", 1)
        monkeypatch.setattr(lately, "WINDOWS", (60, 30))
        for pk in range(4):
            publish(pk, seconds_ago=1)

        assert (metrics.published().rate, metrics.published().seconds) == (4 / 30, 30)

    def test_where_nothing_can_be_read_in_time_pages_are_drawn_by_lot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outflow, "quick_read", lambda *_arguments, **_options: None)
        for pk in range(4):
            publish(pk, seconds_ago=1, lag=2)
        publish(9, seconds_ago=90)
        found = metrics.published()

        assert not found.exact
        if connection.vendor == "postgresql":  # all of so few pages
            assert (found.rate, found.topics["orders"].rate) == (4 / 60, 4 / 60)
            assert found.lag_seconds == pytest.approx(2, abs=0.1)
        else:
            assert (found.rate, found.topics) == (0, {})


def handle(count: int = 1, *, group: str = "shipping", seconds_ago: float = 1, **columns: str) -> None:
    InboxMessage.objects.bulk_create(
        InboxMessage(
            group=group, message_key=uuid4().hex, topic="orders", handled_at=in_future(-seconds_ago * SECOND), **columns
        )
        for _ in range(count)
    )


class TestInbox:
    def test_what_groups_did_lately_is_counted_by_outcome(self) -> None:
        handle(3)
        handle(1, outcome="skipped")
        handle(2, group="billing", outcome="compensated")
        handle(5, seconds_ago=90)
        found = metrics.inbox()

        assert (found.seconds, found.exact) == (60, True)
        assert found.groups == {
            "billing": {"handled": 0, "skipped": 0, "compensated": 2},
            "shipping": {"handled": 3, "skipped": 1, "compensated": 0},
        }

    def test_what_was_skipped_is_counted_as_long_as_the_inbox_has_it(self) -> None:
        handle(2, outcome="skipped", seconds_ago=86_400)
        handle(1, outcome="compensated", seconds_ago=3600)
        handle(4, seconds_ago=3600)
        found = metrics.inbox()

        assert found.groups == {}
        assert found.kept == {"shipping": {"skipped": 2, "compensated": 1}}

    def test_counting_ends_at_a_bound_and_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inflow, "MOST_ODD", 3)
        handle(5, outcome="skipped", seconds_ago=3600)
        found = metrics.inbox()

        assert found.kept == {"shipping": {"skipped": 4, "compensated": 0}}
        assert not found.exact

    def test_of_a_busy_inbox_fewer_seconds_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lately, "MOST_READ", 3)
        handle(3, seconds_ago=5)
        handle(9, seconds_ago=30)
        found = metrics.inbox()

        assert found.seconds == 10
        assert found.groups["shipping"]["handled"] == 3

    def test_what_cannot_be_read_in_time_is_not_taken_for_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inflow, "quick_read", lambda *_arguments, **_options: None)
        handle(3)
        found = metrics.inbox()

        assert (found.groups, found.kept, found.exact) == ({}, {}, False)


class TestLetters:
    def test_letters_are_counted_by_state_and_held_keys_by_topic(self) -> None:
        consumer_letter(State.DEAD)
        consumer_letter(State.DEAD, message_key="order-2", holds_key=True)
        consumer_letter(State.RESOLVED, message_key="order-3")
        found = metrics.letters()

        assert {state: count for state, count in found.states.items() if count} == {"dead": 2, "resolved": 1}
        assert list(found.states) == State.values
        assert found.held == {"orders": 1}
        assert found.exact

    def test_what_is_parked_is_counted_by_group(self) -> None:
        consumer_letter(State.RETRYING)
        consumer_letter(State.PARKED, message_key="order-2")
        consumer_letter(State.PARKED, message_key="order-3")
        consumer_letter(State.PARKED, message_key="order-2", group="mails")

        assert metrics.letters().parked == {"mails": 1, "shipping": 2}

    def test_they_are_counted_up_to_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "MOST_LETTERS", 2)
        for number in range(4):
            consumer_letter(State.DEAD, message_key=str(number))
        found = metrics.letters()

        assert found.states["dead"] == 3
        assert not found.exact


def test_a_snapshot_is_plain_json() -> None:
    write(2, lane=7, created_at=in_future(-MINUTE))
    run_relay("one", 7)
    BrokerOutage.objects.begin("one", "default", "timed out")
    told = json.loads(json.dumps(metrics.snapshot().as_dict()))

    assert told["outbox"]["lanes"]["7"]["due"] == 2
    assert told["relays"]["alive"][0]["lanes"] == [7]
    assert told["outages"][0]["broker"] == "default"
    assert told["at"].endswith("+00:00")


@pytest.mark.usefixtures("no_checkers")
class TestHalfMessages:
    def test_they_are_counted_by_state_with_the_age_of_the_oldest(self) -> None:
        answering()
        for number, state in enumerate(("prepared", "prepared", "undecided", "committed", "rolled_back")):
            (half,) = due(checker="charge")
            decided_at = in_future(timedelta()) if state in ("committed", "rolled_back") else None
            HalfMessage.objects.filter(pk=half.pk).update(
                state=state, decided_at=decided_at, prepared_at=in_future(-timedelta(seconds=60 * (9 - number)))
            )

        found = metrics.half_messages()
        assert found.states == {"prepared": 2, "undecided": 1, "committed": 1, "rolled_back": 1}
        assert 540 <= found.oldest_prepared_seconds < 600
        assert 420 <= found.oldest_undecided_seconds < 480
        assert (found.missing_checkers, found.exact) == ({}, True)

    def test_those_whose_checker_is_gone_are_named(self, no_checkers: Checkers) -> None:
        answering()
        due(2)
        no_checkers.by_name.clear()

        assert metrics.half_messages().missing_checkers == {"charge": 2}

    def test_counting_ends_at_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "MOST_HALF_MESSAGES", 2)
        answering()
        due(4)

        found = metrics.half_messages()
        assert (found.states["prepared"], found.exact) == (3, False)
