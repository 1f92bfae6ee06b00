import math
import threading
import time
from contextlib import closing
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_dlq import burial, deadletters, outbox, signals, switches
from django_dlq.brokers import brokers
from django_dlq.brokers.base import Receipt, one_by_one
from django_dlq.exceptions import BrokerUnavailable, LeaseLost, MessageRefused, RejectedTogether, TopicUnavailable
from django_dlq.message import LANES
from django_dlq.models import (
    BrokerOutage,
    DeadLetter,
    Kind,
    OutboxMessage,
    PublishedMessage,
    RelayLane,
    RelayProcess,
    State,
    in_future,
    outbox_reading,
)
from django_dlq.outbox import Message
from django_dlq.relay import Relay
from django_dlq.relaying import listener, reader
from tests import scripted_broker
from tests.letters import consumer_letter, relay_letter, timeline
from tests.relaying.later import Later

pytestmark = pytest.mark.django_db


@pytest.fixture
def relay():
    return Relay()


@pytest.fixture
def told():
    """Collect the signals of the relay: (name, facts)."""
    collected = []
    receivers = []
    for name in (
        "relay_took_lanes",
        "relay_gave_lanes",
        "relay_lost_lanes",
        "messages_published",
        "broker_unavailable",
        "broker_available",
        "message_failed",
    ):

        def receiver(name=name, signal=None, sender=None, **facts):
            collected.append((name, facts))

        getattr(signals, name).connect(receiver)
        receivers.append((getattr(signals, name), receiver))
    yield collected
    for signal, receiver in receivers:
        signal.disconnect(receiver)


def bodies(records):
    return [record.body.decode() for record in records]


def waiting():
    return [bytes(body).decode() for body in OutboxMessage.objects.order_by("pk").values_list("body", flat=True)]


def run_out():
    past = in_future(timedelta(milliseconds=-1))
    RelayLane.objects.update(leased_until=past)
    RelayProcess.objects.update(alive_until=past)


def lanes_of(relay):
    return RelayLane.objects.filter(owner=relay.owner).count()


@pytest.fixture
def beat(monkeypatch):
    """Let so much time pass that relays look around again, but no lease runs out."""
    passed = [0.0]
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + passed[0])

    def let_pass():
        passed[0] += 20
        RelayLane.objects.filter(leased_until__isnull=False).update(leased_until=in_future(timedelta(seconds=30)))
        RelayProcess.objects.update(alive_until=in_future(timedelta(seconds=30)))

    return let_pass


class TestSending:
    def test_messages_are_sent_in_their_order_and_become_history(self, relay, broker, told):
        rows = outbox.publish_many([Message("orders", str(n), key="7") for n in range(3)])

        assert relay.run_once() == 3
        assert bodies(broker.sent) == ["0", "1", "2"]
        assert [record.header("id") for record in broker.sent] == [row.message_id.encode() for row in rows]
        assert waiting() == []
        history = PublishedMessage.objects.order_by("outbox_id").values_list("outbox_id", "partition", "offset")
        assert list(history) == [(row.pk, 0, offset) for offset, row in enumerate(rows)]
        (facts,) = [facts for name, facts in told if name == "messages_published"]
        assert [row.pk for row in facts["rows"]] == [row.pk for row in rows]

    def test_with_nothing_to_send_the_broker_is_left_alone(self, relay, broker):
        assert relay.run_once() == 0
        assert broker.calls == []

    def test_a_batch_has_its_size(self, relay, broker, settings):
        settings.DLQ_RELAY_BATCH = 2
        outbox.publish_many([Message("orders", str(n)) for n in range(5)])

        assert [relay.run_once() for _ in range(4)] == [2, 2, 1, 0]
        assert broker.calls == [2, 2, 1]

    def test_a_message_is_not_sent_before_its_time(self, relay, broker):
        outbox.publish("orders", "later", delay=timedelta(hours=1))
        outbox.publish("orders", "now", delay=timedelta(0))

        assert relay.run_once() == 1
        assert bodies(broker.sent) == ["now"]
        OutboxMessage.objects.update(due_at=in_future(timedelta(seconds=-1)))
        assert relay.run_once() == 1

    @pytest.mark.django_db(transaction=True)
    def test_no_transaction_is_open_while_the_broker_is_spoken_to(self, relay, broker):
        seen = []
        broker.during_send = lambda: seen.append(connection.in_atomic_block)
        with transaction.atomic():
            outbox.publish("orders", "")

        assert relay.run_once() == 1
        assert seen == [False]

    def test_a_crash_before_completion_sends_the_same_ids_again(self, relay, broker, monkeypatch):
        row = outbox.publish("orders", "")
        monkeypatch.setattr(relay._completions, "begin", crash)
        with pytest.raises(KeyboardInterrupt):
            relay.run_once()
        relay.close()

        assert Relay().run_once() == 1
        assert [record.header("id") for record in broker.sent] == [row.message_id.encode()] * 2


def crash(*_, **__):
    raise KeyboardInterrupt


class TestPriority:
    def test_the_urgent_is_sent_first(self, relay, broker):
        for body, priority in [("a", 0), ("b", 9), ("c", 5)]:
            outbox.publish("orders", body, priority=priority)
        relay.run_once()

        assert bodies(broker.sent) == ["b", "c", "a"]

    def test_urgency_never_changes_the_order_inside_a_key(self, relay, broker, settings, monkeypatch):
        monkeypatch.setattr(reader, "QUICK", math.inf)  # however slow the machine, nothing urgent is put off
        settings.DLQ_RELAY_BATCH = 3
        for n in range(6):
            outbox.publish("orders", f"other {n}", key=f"other {n}")
        for n, priority in enumerate([0, 3, 0, 9, 0]):
            outbox.publish("orders", f"mine {n}", key="mine", priority=priority)
        while relay.run_once():
            pass

        sent = bodies(broker.sent)
        assert [body for body in sent if body.startswith("mine")] == [f"mine {n}" for n in range(5)]
        assert sent[:3] == ["mine 0", "mine 1", "mine 2"]
        assert sent.index("mine 3") < sent.index("other 3")
        assert len(sent) == len(set(sent)) == 11

    def test_more_elders_than_a_batch_holds_are_sent_before_what_they_precede(self, relay, broker, settings):
        settings.DLQ_RELAY_BATCH = 2
        outbox.publish_many([Message("orders", str(n), key="7", priority=9 if n == 5 else 0) for n in range(6)])
        while relay.run_once():
            pass

        assert bodies(broker.sent) == ["0", "1", "2", "3", "4", "5"]

    def test_elders_of_another_key_that_a_batch_does_not_hold_are_sent_first_too(self, relay, broker, settings):
        settings.DLQ_RELAY_BATCH = 2
        for n in range(6):
            outbox.publish("orders", f"other {n}")
        for n in range(4):
            outbox.publish("orders", f"a {n}", key="a", priority=9 if n == 3 else 0)
        outbox.publish("orders", "b 0", key="b")
        outbox.publish("orders", "b 1", key="b", priority=9)
        while relay.run_once():
            pass

        sent = bodies(broker.sent)
        assert [body for body in sent if body.startswith("a")] == [f"a {n}" for n in range(4)]
        assert sent.index("b 0") < sent.index("b 1")

    def test_elders_are_sent_whole_however_large(self, relay, broker, settings, monkeypatch):
        settings.DLQ_RELAY_BATCH = 2
        monkeypatch.setattr(outbox_reading, "PAGE_BYTES", 5000)
        for n in range(4):
            outbox.publish("orders", f"other {n}")
        large = "x" * 3000
        outbox.publish("orders", large, key="7")
        outbox.publish("orders", "urgent", key="7", priority=9)
        while relay.run_once():
            pass

        sent = bodies(broker.sent)
        assert sent.index(large) < sent.index("urgent")

    def test_the_same_key_in_another_topic_is_another_key(self, relay, broker):
        outbox.publish("bills", "first", key="7")
        outbox.publish("orders", "urgent", key="7", priority=9)
        relay.run_once()

        assert bodies(broker.sent) == ["urgent", "first"]

    def test_an_urgent_message_without_a_key_waits_for_nobody(self, relay, broker):
        outbox.publish("orders", "first")
        outbox.publish("orders", "urgent", priority=1)
        relay.run_once()

        assert bodies(broker.sent) == ["urgent", "first"]

    def test_messages_without_a_key_keep_their_places_among_keys(self, relay, broker):
        for body, key, priority in [("a", None, 0), ("b", "7", 0), ("c", None, 1), ("d", "7", 2), ("e", None, 2)]:
            outbox.publish("orders", body, key=key, priority=priority)
        relay.run_once()

        assert bodies(broker.sent) == ["b", "d", "e", "c", "a"]

    def test_elders_that_are_not_due_are_not_waited_for(self, relay, broker):
        outbox.publish("orders", "later", key="7", delay=timedelta(hours=1))
        outbox.publish("orders", "urgent", key="7", priority=1)
        relay.run_once()

        assert bodies(broker.sent) == ["urgent"]

    def test_a_batch_full_of_urgent_keys_is_sent(self, relay, broker):
        outbox.publish("orders", "elder", key="499")
        outbox.publish_many([Message("orders", str(n), key=str(n), priority=1) for n in range(500)])
        relay.run_once()

        assert bodies(broker.sent) == ["elder", *map(str, range(500))]


class TestExpiry:
    def test_a_message_that_outlived_its_expiry_is_a_dead_letter_that_says_so(self, relay, broker):
        outbox.publish("orders", "late", expires_in=timedelta(0))
        outbox.publish("orders", "in time", expires_in=timedelta(hours=1))

        assert relay.run_once() == 2
        assert bodies(broker.sent) == ["in time"]
        letter = DeadLetter.objects.get()
        assert (letter.state, letter.source, letter.body_bytes) == (State.DEAD, "relay", b"late")
        assert letter.error_class == "django_dlq.exceptions.Expired"
        assert letter.error_message.startswith("expired: it was to be sent before 2")
        assert waiting() == []

    def test_what_is_in_time_is_sent_before_what_is_not_is_given_up(self, relay, broker):
        seen = []
        broker.during_send = lambda: seen.append(DeadLetter.objects.count())
        for expires_in in (timedelta(0), timedelta(hours=1), timedelta(0)):
            outbox.publish("orders", "x", key="7", expires_in=expires_in)

        assert relay.run_once() == 3
        assert (seen, len(broker.sent), DeadLetter.objects.count()) == ([0], 1, 2)

    def test_many_that_expired_take_few_statements_and_the_lease_is_kept_meanwhile(
        self, relay, broker, told, monkeypatch
    ):
        outbox.publish_many([Message("orders", str(n), expires_in=timedelta(0)) for n in range(450)])
        replayed = relay_letter()
        deadletters.replay(replayed, actor="ana")
        OutboxMessage.objects.filter(letter_id=replayed.pk).update(expires_at=in_future(timedelta(seconds=-1)))
        relay.has_all_lanes()
        OutboxMessage.objects.filter(body=b"449").delete()
        beats = []
        monkeypatch.setattr(relay._share, "beat", lambda: beats.append(1) or set())
        monkeypatch.setattr(type(relay._share), "lasts", 5.0)
        with CaptureQueriesContext(connection) as queries:
            assert relay.run_once() == 450

        assert len(queries) < 60
        assert len(beats) >= 3
        assert waiting() == []
        expired = DeadLetter.objects.filter(error_class__endswith="Expired").order_by("pk")
        assert [letter.body_bytes.decode() for letter in expired.exclude(pk=replayed.pk)] == [*map(str, range(449))]
        assert {timeline(letter)[0] for letter in expired.exclude(pk=replayed.pk)[:3]} == {(Kind.FAILED, "relay")}
        assert expired.filter(pk=replayed.pk, state=State.DEAD).exists()
        assert len([facts for name, facts in told if name == "message_failed"]) == 450

    def test_a_message_that_expires_while_the_broker_is_down_is_a_dead_letter(self, relay, broker, beat):
        broker.outage = BrokerUnavailable("down")
        outbox.publish("orders", "late", expires_in=timedelta(hours=1))
        relay.run_once()
        OutboxMessage.objects.update(expires_at=in_future(timedelta(seconds=-1)))
        beat()

        assert relay.run_once() == 1
        assert DeadLetter.objects.get().error_class.endswith("Expired")


class TestLanes:
    def test_the_first_relay_has_all_lanes_and_a_second_one_none_yet(self, broker):
        first, second = Relay(), Relay()
        assert first.run_once() == 0
        outbox.publish("orders", "")

        assert second.run_once() == 0
        assert broker.sent == []
        assert first.run_once() == 1

    def test_a_relay_that_joins_gets_its_share_at_the_others_next_look(self, broker, told, beat):
        first, second = Relay(), Relay()
        first.run_once()
        second.run_once()
        beat()
        first.run_once()
        second.run_once()

        assert lanes_of(first) == lanes_of(second) == LANES // 2
        assert [name for name, _ in told] == ["relay_took_lanes", "relay_gave_lanes", "relay_took_lanes"]
        outbox.publish_many([Message("orders", str(n), key=str(n)) for n in range(100)])
        shares = first.run_once(), second.run_once()
        assert sum(shares) == len({record.key for record in broker.sent}) == 100
        assert min(shares) > 20

    def test_three_relays_share_evenly(self, broker, beat):
        relays = [Relay(), Relay(), Relay()]
        for _ in range(3):
            for relay in relays:
                relay.run_once()
            beat()

        assert sorted(map(lanes_of, relays)) == [20, 22, 22]

    def test_a_relay_that_leaves_gives_its_lanes_to_the_others(self, broker, beat):
        first, second = Relay(), Relay()
        first.run_once()
        second.run_once()
        first.close()
        outbox.publish("orders", "")
        beat()

        assert second.run_once() == 1
        assert lanes_of(second) == LANES

    def test_lanes_are_taken_over_when_their_lease_has_run_out(self, broker):
        first, second = Relay(), Relay()
        first.run_once()
        run_out()
        outbox.publish("orders", "")

        assert second.run_once() == 1
        assert set(RelayLane.objects.values_list("owner", "epoch")) == {(second.owner, 2)}

    def test_a_relay_that_woke_up_too_late_completes_nothing(self, broker, told, beat):
        zombie, heir = Relay(), Relay()
        outbox.publish("orders", "1")

        def sleep_past_the_lease():
            broker.during_send = lambda: None
            run_out()
            assert heir.has_all_lanes()

        broker.during_send = sleep_past_the_lease
        assert zombie.run_once() == 0
        assert waiting() == ["1"]
        assert not PublishedMessage.objects.exists()

        assert zombie.run_once() == 0
        assert [name for name, _ in told if name == "relay_lost_lanes"] == ["relay_lost_lanes"]
        assert lanes_of(zombie) == 0
        assert heir.run_once() == 1
        assert bodies(broker.sent) == ["1", "1"]

    def test_of_a_batch_only_what_lies_in_lost_lanes_is_not_completed(self, relay, broker):
        rows = outbox.publish_many([Message("orders", str(n), key=str(n)) for n in range(20)])
        lost = rows[7].lane
        broker.during_send = lambda: RelayLane.objects.filter(lane=lost).update(owner="another", epoch=9)
        relay.run_once()

        left = set(OutboxMessage.objects.values_list("lane", flat=True))
        # PostgreSQL tells the lanes apart; elsewhere the whole batch stays, and is sent again.
        assert left == {lost} if connection.vendor == "postgresql" else lost in left

    def test_a_relay_that_woke_up_too_late_buries_nothing(self, broker):
        zombie, heir = Relay(), Relay()
        broker.answers["orders"] = MessageRefused("too large")
        outbox.publish("orders", "1")
        broker.during_send = lambda: (run_out(), heir.has_all_lanes())

        assert zombie.run_once() == 0
        assert waiting() == ["1"]
        assert not DeadLetter.objects.exists()

    def test_a_lease_that_ran_out_with_no_heir_goes_on(self, relay, broker):
        outbox.publish("orders", "1")
        broker.during_send = run_out

        assert relay.run_once() == 1
        assert waiting() == []

    def test_a_slow_broker_does_not_let_the_relay_send_to_the_next_without_its_lanes(self, settings, monkeypatch, told):
        settings.DLQ_BROKERS = {alias: {"BACKEND": scripted_broker.PATH} for alias in ("slow", "next")}
        relay, heir = Relay(), Relay()
        for alias in ("slow", "next"):
            outbox.publish("orders", alias, broker=alias)
        clock = time.monotonic()

        def take_long():
            monkeypatch.setattr(time, "monotonic", lambda: clock + 3600)
            run_out()
            assert heir.has_all_lanes()

        brokers["slow"].outage = BrokerUnavailable("too slow")
        brokers["slow"].during_send = take_long
        assert relay.run_once() == 0
        assert brokers["next"].sent == []
        assert waiting() == ["slow", "next"]
        assert [(facts["owner"], len(facts["lanes"])) for name, facts in told if name == "relay_lost_lanes"] == [
            (relay.owner, LANES)
        ]

    def test_a_send_has_no_more_time_than_the_lease(self, relay, broker, settings, monkeypatch):
        settings.DLQ_RELAY_LEASE = timedelta(seconds=3)
        timeouts = []
        monkeypatch.setattr(broker, "send", lambda records, timeout: timeouts.append(timeout) or [Receipt()])
        outbox.publish("orders", "1")

        assert relay.run_once() == 1
        assert 0 < timeouts[0] <= 3

    def test_the_lanes_are_given_back_at_the_end(self, relay, broker):
        relay.run_once()
        relay.close()
        outbox.publish("orders", "")

        assert not RelayProcess.objects.exists()
        assert Relay().run_once() == 1

    @pytest.mark.parametrize("trouble", [OperationalError("a blip"), InterfaceError("a blip"), LeaseLost("gone")])
    def test_the_lanes_are_given_back_though_the_last_completion_fails(self, broker, settings, monkeypatch, trouble):
        """And nothing is on its way to the history any more by then: it would be refused, and sent again."""
        settings.DLQ_RELAY_BATCH = 1
        relay, later = Relay(), Later()
        relay._completions._stage = later
        monkeypatch.setattr("django_dlq.relaying.waiting.wait", later.wait)
        outbox.publish_many([Message("orders", str(n)) for n in range(2)])
        relay.run_once()
        relay.run_once()
        assert waiting() == ["0", "1"]
        later.fail(trouble)
        relay.close()

        assert waiting() == ["0"]
        assert lanes_of(relay) == 0
        assert not RelayProcess.objects.exists()

    def test_closing_twice_or_without_lanes_does_no_harm(self, relay, broker):
        relay.close()
        other = Relay()
        other.run_once()
        relay.close()

        assert lanes_of(other) == LANES

    def test_an_idle_relay_does_not_write_at_every_look(self, relay, broker, django_assert_num_queries):
        relay.run_once()
        with django_assert_num_queries(1):  # is there something to send?
            relay.run_once()

    def test_leases_are_prolonged_after_a_third_of_them(self, relay, broker, monkeypatch):
        relay.run_once()
        RelayLane.objects.update(leased_until=in_future(timedelta(seconds=5)))
        third = time.monotonic() + 10
        monkeypatch.setattr(time, "monotonic", lambda: third)
        relay.run_once()

        assert RelayLane.objects.filter(leased_until__gt=in_future(timedelta(seconds=20))).count() == LANES

    def test_a_relay_that_finds_its_lanes_taken_waits(self, relay, broker, beat):
        relay.run_once()
        run_out()
        assert Relay().has_all_lanes()
        beat()
        outbox.publish("orders", "")

        assert relay.run_once() == 0
        assert broker.sent == []

    def test_it_tells_how_much_it_sends(self, relay, broker, beat):
        outbox.publish_many([Message("orders", "") for _ in range(5)])
        relay.run_once()
        beat()
        relay.run_once()

        process = RelayProcess.objects.get()
        assert (process.owner, process.sent) == (relay.owner, 5)
        assert process.rate > 0


class TestReading:
    def test_a_message_that_commits_late_under_an_earlier_id_is_sent(self, relay, broker, beat):
        late = OutboxMessage.objects.get(pk=outbox.publish("orders", "late").pk)
        OutboxMessage.objects.filter(pk=late.pk).delete()
        outbox.publish_many([Message("orders", str(n)) for n in range(3)])
        relay.run_once()
        late.save(force_insert=True)
        beat()

        assert relay.run_once() == 1
        assert bodies(broker.sent) == ["0", "1", "2", "late"]

    def test_bodies_too_large_for_one_page_come_in_several(self, relay, broker, monkeypatch):
        monkeypatch.setattr(outbox_reading, "PAGE_BYTES", 5000)
        texts = [letter * 2000 for letter in "abcde"]
        outbox.publish_many([Message("orders", text, key="7") for text in texts])

        assert [relay.run_once() for _ in range(4)] == [2, 2, 1, 0]
        assert bodies(broker.sent) == texts

    @pytest.mark.parametrize("size", [400, 2000, 6000])
    def test_headers_and_keys_count_as_well_and_arrive_as_they_are(self, relay, broker, monkeypatch, size):
        """Above what a row of a page may have, above what three may, and above a whole page."""
        monkeypatch.setattr(outbox_reading, "PAGE_BYTES", 5000)
        large = "ü" * (size // 2)
        sent = [
            Message("orders", "1", key="7", headers={"h": large}),
            Message("orders", "", key="7", headers={"h": large}),
            Message("orders", "3", key=large),
            Message("orders", large, key=large, headers={"h": large}),
            Message("orders", "5", key="7"),
        ]
        outbox.publish_many(sent)
        done = [relay.run_once() for _ in range(6)]

        assert sum(done) == len(sent)
        assert max(done) < len(sent) or size < 1000
        assert [(record.key, record.body, dict(record.headers).get("h")) for record in broker.sent] == [
            (key.encode(), body.encode(), header and header.encode())
            for key, body, header in [
                ("7", "1", large), ("7", "", large), (large, "3", None), (large, large, large), ("7", "5", None)
            ]
        ]  # fmt: skip

    def test_a_body_that_is_gone_before_it_is_read_was_deleted_by_somebody(self, relay, broker, monkeypatch):
        monkeypatch.setattr(outbox_reading, "PAGE_BYTES", 500)
        outbox.publish("orders", "x" * 2000)
        read = outbox_reading.Compiled.run

        def then_delete(compiled, *places):
            rows = read(compiled, *places)
            OutboxMessage.objects.all().delete()
            return rows

        monkeypatch.setattr(outbox_reading.Compiled, "run", then_delete)
        assert relay.run_once() == 0
        assert broker.sent == []

    def test_batches_grow_while_the_broker_keeps_up_and_shrink_when_it_does_not(self, relay, broker, monkeypatch):
        monkeypatch.setattr("django_dlq.relaying.batch_sizes.FIRST_BATCH", 100)
        monkeypatch.setattr("django_dlq.relaying.batch_sizes.QUICK", 60)
        monkeypatch.setattr("django_dlq.relaying.batch_sizes.SLOW", 120)
        outbox.publish_many([Message("orders", "") for _ in range(500)])
        assert [relay.run_once() for _ in range(3)] == [100, 200, 200]
        outbox.publish_many([Message("orders", "") for _ in range(400)])
        clock = time.monotonic()
        broker.during_send = lambda: monkeypatch.setattr(time, "monotonic", lambda: clock + 121)
        relay.run_once()
        broker.during_send = lambda: None

        assert relay.run_once() < 300

    def test_a_row_that_somebody_deletes_while_it_is_sent_is_no_lost_lease(self, relay, broker, told):
        outbox.publish("orders", "1")
        broker.during_send = lambda: OutboxMessage.objects.all().delete()

        assert relay.run_once() == 1
        assert "relay_lost_lanes" not in [name for name, _ in told]


class TestPauses:
    @pytest.mark.parametrize(
        "what",
        [{"topic": "orders"}, {"topic": "orders", "key": "7"}, {"broker": "default"}],
        ids=["topic", "key", "broker"],
    )
    def test_what_is_paused_waits_until_it_is_resumed(self, relay, broker, beat, what):
        switches.pause(**what, actor="ana", reason="bills are wrong")
        outbox.publish("orders", "1", key="7")
        others = [outbox.publish("orders", "2", key="8"), outbox.publish("bills", "3", key="7")]
        sent = {"topic": 1, "key": 2, "broker": 0}[("key" in what and "key") or next(iter(what))]

        assert relay.run_once() == sent <= len(others)
        assert "1" in waiting()
        switches.resume(**what, actor="ana", reason="they are right again")
        beat()
        assert relay.run_once() == 3 - sent
        assert waiting() == []


class HangingBroker(scripted_broker.ScriptedBroker):
    """Fails at once, and from then on answers nobody until it is back; for all threads, each of which makes its own."""

    asked = threading.Event()
    is_back = threading.Event()

    def send(self, records, timeout):
        if self.is_back.is_set():
            return super().send(records, timeout)
        if threading.current_thread() is not threading.main_thread():
            self.asked.set()
            self.is_back.wait(30)
            return super().send(records, timeout)
        raise BrokerUnavailable("down")


def wait_for(condition):
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.fixture
def hanging(settings):
    HangingBroker.asked.clear()
    HangingBroker.is_back.clear()
    a, b = f"{__name__}.HangingBroker", scripted_broker.PATH
    settings.DLQ_BROKERS = {"a": {"BACKEND": a}, "b": {"BACKEND": b}}
    yield HangingBroker
    HangingBroker.is_back.set()


@pytest.fixture
def long_pauses(monkeypatch):
    """No pause is over by itself, however slow the machine is."""
    monkeypatch.setattr("django_dlq.circuit_breaker.FIRST_PAUSE", 60.0)


@pytest.mark.usefixtures("long_pauses")
class TestOutage:
    def test_what_a_broker_cannot_take_stays_and_is_no_letter(self, relay, broker, told):
        broker.outage = BrokerUnavailable("connection refused")
        outbox.publish("orders", "1")

        assert relay.run_once() == 0
        assert waiting() == ["1"]
        assert not DeadLetter.objects.exists()
        assert relay.unavailable() == {"default": "connection refused"}
        (facts,) = [facts for name, facts in told if name == "broker_unavailable"]
        assert (facts["broker"], str(facts["error"])) == ("default", "connection refused")

    def test_it_is_left_alone_for_a_while_and_then_tried_with_one_message(self, relay, broker, told, beat):
        broker.outage = BrokerUnavailable("down")
        outbox.publish_many([Message("orders", str(n), key="7") for n in range(3)])
        relay.run_once()
        relay.run_once()
        assert broker.calls == [3]
        assert [outage.reason for outage in BrokerOutage.objects.all()] == ["down"]

        beat()
        relay.run_once()
        assert broker.calls == [3, 1]
        broker.outage = None
        beat()
        assert [relay.run_once(), relay.run_once()] == [1, 2]
        assert bodies(broker.sent) == ["0", "1", "2"]
        assert relay.unavailable() == {}
        assert not BrokerOutage.objects.exists()
        assert [name for name, _ in told if name == "broker_available"] == ["broker_available"]

    def test_only_the_messages_that_were_not_confirmed_stay(self, relay, broker):
        broker.answers["slow"] = BrokerUnavailable("timed out")
        broker.answers["forbidden"] = MessageRefused("not authorised")
        outbox.publish_many([Message("orders", "1"), Message("slow", "2"), Message("forbidden", "3")])

        assert relay.run_once() == 2
        assert waiting() == ["2"]
        assert [letter.topic for letter in DeadLetter.objects.all()] == ["forbidden"]
        assert [sent.topic for sent in PublishedMessage.objects.all()] == ["orders"]
        assert relay.unavailable() == {"default (topic slow)": "timed out"}

    def test_the_outage_of_one_broker_holds_up_no_other(self, hanging, beat):
        """Not even while that broker is tried, and lets everybody wait for its answer."""
        outbox.publish("orders", "1", broker="a")
        outbox.publish("orders", "2", broker="b")
        with closing(Relay(pipelined=True)) as relay:
            assert relay.run_once() == 1
            outbox.publish("orders", "3", broker="b")
            beat()
            assert relay.run_once() == 1
            assert hanging.asked.wait(10)
            outbox.publish("orders", "4", broker="b")
            assert relay.run_once() == 1
            assert relay.run_once() == 0
            assert bodies(brokers["b"].sent) == ["2", "3", "4"]
            assert list(relay.unavailable()) == ["a"]

            hanging.is_back.set()
            wait_for(relay.run_once)
            assert waiting() == []
            assert relay.unavailable() == {}

    def test_a_broker_that_is_out_of_reach_is_tried_with_each_topic_in_turn(self, relay, broker, beat):
        broker.outage = BrokerUnavailable("down")
        outbox.publish_many([Message(topic, topic) for topic in ("sick", "sick", "orders", "bills")])
        relay.run_once()
        broker.outage = None
        broker.answers["sick"] = BrokerUnavailable("no leader")
        beat()
        assert relay.run_once() == 0
        assert list(relay.unavailable()) == ["default"]
        beat()

        assert [relay.run_once(), relay.run_once()] == [1, 1]
        assert sorted(bodies(broker.sent)) == ["bills", "orders"]
        assert waiting() == ["sick", "sick"]

    def test_what_a_broker_that_answers_does_not_take_rests_and_all_else_goes_on(self, relay, broker, beat, told):
        broker.answers["sick"] = BrokerUnavailable("no leader")
        outbox.publish_many([Message(topic, f"{topic} {n}", key="7") for n in range(2) for topic in ("sick", "orders")])
        assert relay.run_once() == 2
        outbox.publish("orders", "orders 2", key="7")
        outbox.publish("sick", "sick 2", key="7")
        outbox.publish("sick", "another key", key="8")
        broker.answers.clear()

        assert relay.run_once() == 2
        assert bodies(broker.sent)[2:] == ["orders 2", "another key"]
        assert waiting() == ["sick 0", "sick 1", "sick 2"]
        assert relay.unavailable() == {"default (topic sick)": "no leader"}
        assert [(outage.broker, outage.topic) for outage in BrokerOutage.objects.all()] == [("default", "sick")]
        beat()
        assert [relay.run_once(), relay.run_once()] == [1, 2]
        assert bodies(broker.sent)[4:] == ["sick 0", "sick 1", "sick 2"]
        assert relay.unavailable() == {}
        assert not BrokerOutage.objects.exists()
        assert "broker_unavailable" not in [name for name, _ in told]

    def test_a_broker_that_says_that_only_a_topic_is_in_trouble_is_not_out_of_reach(self, relay, broker):
        broker.answers["sick"] = TopicUnavailable("no leader")
        outbox.publish("sick", "1", key="7")
        relay.run_once()
        outbox.publish("orders", "2")

        assert relay.run_once() == 1
        assert list(relay.unavailable()) == ["default (topic sick)"]

    def test_while_nothing_is_taken_what_rests_is_tried_for_ever_and_each_time_later(self, relay, broker, beat):
        broker.answers["sick"] = TopicUnavailable("no leader")
        outbox.publish_many([Message("sick", str(n), key=str(n)) for n in range(3)])
        for _ in range(5):
            relay.run_once()
            relay.run_once()
            beat()

        assert broker.calls == [3] * 5
        assert len(waiting()) == 3

    def test_what_rested_and_was_deleted_or_expired_lets_the_others_go(self, relay, broker, beat):
        broker.answers["sick"] = TopicUnavailable("no leader")
        outbox.publish("sick", "deleted", key="1")
        outbox.publish("sick", "expired", key="2", expires_in=timedelta(hours=1))
        for key in "12":
            outbox.publish("sick", f"next {key}", key=key)
        relay.run_once()
        broker.answers.clear()
        OutboxMessage.objects.filter(body=b"deleted").delete()
        OutboxMessage.objects.filter(body=b"expired").update(expires_at=in_future(timedelta(seconds=-1)))
        beat()

        assert [relay.run_once(), relay.run_once()] == [1, 2]
        assert sorted(bodies(broker.sent)) == ["next 1", "next 2"]
        assert DeadLetter.objects.get().error_class.endswith("Expired")
        assert relay.unavailable() == {}

    def test_what_rests_is_refused_when_it_is_tried(self, relay, broker, beat):
        broker.answers["sick"] = TopicUnavailable("no leader")
        outbox.publish("sick", "1", key="1")
        relay.run_once()
        broker.answers["sick"] = MessageRefused("too large")
        beat()

        assert relay.run_once() == 1
        assert DeadLetter.objects.get().error_message == "too large"
        assert relay.unavailable() == {}

    def test_what_is_tried_in_a_lane_that_is_lost_meanwhile_is_left_to_its_heir(self, relay, broker, beat):
        broker.answers["sick"] = TopicUnavailable("no leader")
        row = outbox.publish("sick", "1", key="1")
        relay.run_once()
        broker.answers.clear()
        broker.during_send = lambda: relay._share.held.pop(row.lane)
        beat()

        assert relay.run_once() == 0
        assert waiting() == ["1"]
        assert relay.unavailable() == {}

    def test_a_trial_that_breaks_off_is_made_again(self, relay, broker, beat):
        for trouble in (BrokerUnavailable("down"), TopicUnavailable("no leader")):
            broker.answers["sick"] = trouble
            outbox.publish("sick", "1", key="1")
            relay.run_once()
            beat()
            broker.during_send = crash
            with pytest.raises(KeyboardInterrupt):
                relay.run_once()
            broker.during_send = lambda: None
            broker.answers.clear()

            assert relay.run_once() == 1
            assert relay.unavailable() == {}

    def test_two_brokers_have_batches_of_their_own_size(self, relay, settings, monkeypatch):
        monkeypatch.setattr("django_dlq.relaying.batch_sizes.FIRST_BATCH", 4)
        settings.DLQ_BROKERS = {alias: {"BACKEND": scripted_broker.PATH} for alias in ("slow", "quick")}
        outbox.publish_many([Message("orders", str(n), broker="quick") for n in range(4)])
        relay.run_once()
        outbox.publish_many([Message("orders", str(n), broker=name) for n in range(4) for name in ("slow", "quick")])
        clock = [time.monotonic()]
        monkeypatch.setattr("django_dlq.relaying.sending.time.monotonic", lambda: clock[0])
        brokers["slow"].during_send = lambda: clock.__setitem__(0, clock[0] + 2)
        monkeypatch.setattr("django_dlq.relaying.batch_sizes.LEAST_BATCH", 1)
        while relay.run_once():
            pass

        assert brokers["quick"].calls[:2] == [4, 4]
        assert brokers["slow"].calls == [4]
        outbox.publish_many([Message("orders", str(n), broker=name) for n in range(4) for name in ("slow", "quick")])
        while relay.run_once():
            pass
        assert brokers["slow"].calls == [4, 2, 2]
        assert bodies(brokers["slow"].sent) == ["0", "1", "2", "3"] * 2
        assert bodies(brokers["quick"].sent) == ["0", "1", "2", "3"] * 3

    def test_a_broker_that_the_settings_lost_is_no_reason_to_lose_its_messages(self, relay, broker):
        outbox.publish("orders", "1")
        OutboxMessage.objects.update(broker="gone")

        assert relay.run_once() == 0
        assert waiting() == ["1"]
        assert "gone" in relay.unavailable()


class TestRefusal:
    def test_what_the_broker_refuses_becomes_a_letter_and_the_others_are_sent(self, relay, broker):
        broker.answers["forbidden"] = MessageRefused("not authorised")
        outbox.publish_many([Message("orders", "1"), Message("forbidden", "2", key="7"), Message("orders", "3")])

        assert relay.run_once() == 3
        assert bodies(broker.sent) == ["1", "3"]
        letter = DeadLetter.objects.get()
        assert (letter.source, letter.state, letter.key) == ("relay", State.DEAD, "7")
        assert (letter.error_class, letter.error_message) == ("django_dlq.exceptions.MessageRefused", "not authorised")
        assert waiting() == []

    def test_what_was_rejected_with_others_is_no_outage_and_comes_again_in_smaller_batches(self, relay, broker):
        outbox.publish_many([Message("orders", str(n), key="7") for n in range(300)])
        poison = "3"

        def send(records, timeout):
            broker.calls.append(len(records))
            if len(records) > 40 and any(record.body == poison.encode() for record in records):
                return [Receipt(error=RejectedTogether("one of these is too large"))] * len(records)
            return one_by_one(records, store)

        def store(record):
            if record.body == poison.encode():
                return Receipt(error=MessageRefused("too large"))
            broker.sent.append(record)
            return Receipt()

        broker.send = send
        while waiting() and len(broker.calls) < 100:
            relay.run_once()
            assert relay.unavailable() == {}

        assert broker.calls[:3] == [300, 125, 31]
        assert DeadLetter.objects.get().body_bytes == poison.encode()
        assert bodies(broker.sent) == [str(n) for n in range(300) if n != 3]
        assert not BrokerOutage.objects.exists()

    def test_refusals_of_one_topic_have_one_cause(self, relay, broker):
        for topic in ("a", "b"):
            broker.answers[topic] = MessageRefused(f"no, {topic}")
        outbox.publish_many([Message("a", ""), Message("a", ""), Message("b", "")])
        relay.run_once()

        first, second, other = DeadLetter.objects.order_by("pk").values_list("fingerprint", flat=True)
        assert first == second != other


class TestReplays:
    def test_a_letter_of_the_relay_is_resolved_when_the_broker_has_it(self, relay, broker):
        letter = relay_letter()
        deadletters.replay(letter, actor="ana")
        relay.run_once()

        letter.refresh_from_db()
        assert letter.state == State.RESOLVED
        assert timeline(letter) == [(Kind.REPLAYED, "ana"), (Kind.RESOLVED, "relay")]
        assert PublishedMessage.objects.get().letter_id == letter.pk

    def test_a_letter_of_a_consumer_waits_for_its_handler(self, relay, broker):
        letter = consumer_letter()
        deadletters.replay(letter, actor="ana")
        relay.run_once()

        letter.refresh_from_db()
        assert letter.state == State.REPLAYING
        assert broker.sent[0].header("dlq-group") == b"shipping"

    @pytest.mark.parametrize("make", [consumer_letter, relay_letter])
    def test_a_replay_that_is_refused_makes_its_letter_dead_again(self, relay, broker, make):
        letter = make()
        deadletters.replay(letter, actor="ana")
        broker.answers["orders"] = MessageRefused("still too large")
        relay.run_once()

        letter = DeadLetter.objects.get()
        assert (letter.state, letter.error_message) == (State.DEAD, "still too large")

    def test_a_completion_that_fails_resolves_nothing(self, relay, broker, monkeypatch):
        letter = relay_letter()
        deadletters.replay(letter, actor="ana")
        monkeypatch.setattr(burial, "resolve_replays", crash)

        with pytest.raises(KeyboardInterrupt):
            relay.run_once()
        letter.refresh_from_db()
        assert letter.state == State.REPLAYING
        assert OutboxMessage.objects.count() == 1
        assert not PublishedMessage.objects.exists()


class TestResting:
    @pytest.mark.parametrize("notify", [False, True])
    def test_where_nobody_can_be_heard_it_rests_for_its_time(self, settings, relay, monkeypatch, notify):
        settings.DLQ_RELAY_NOTIFY = notify
        monkeypatch.setattr(listener, "can_wake", lambda connection: False)
        relay.rest(0)
        began = time.monotonic()

        assert not relay.rest(0.05)
        assert time.monotonic() - began >= 0.049

    def test_while_it_works_it_takes_note_of_calls_at_each_look_around(self, relay, broker, beat, monkeypatch):
        relay.run_once()
        monkeypatch.setattr(relay, "_listener", Ear())
        outbox.publish("orders", "x")
        relay.run_once()
        assert not relay.rest(0)
        beat()
        relay.run_once()

        assert relay.rest(0)
        relay.close()
        assert relay._listener.closed


class Ear:
    """Hears when it is asked to."""

    heard = closed = False

    def take_note(self):
        self.heard = True

    def wait(self, seconds):
        return self.heard

    def close(self):
        self.closed = True
