"""What every broker must do, as tests: subclass `BrokerConformance`, and give it the fixture `broker`.

    class TestMyBroker(BrokerConformance):
        @pytest.fixture
        def broker(self):
            broker = MyBroker("default", {...})
            yield broker
            broker.close()

A broker that can be stopped for a while also gives the fixture `outage`: something with `down()` and `up()`.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from django_dlq.brokers.base import Broker, Subscription
from django_dlq.exceptions import BrokerUnavailable, HeldBack, MessageRefused
from django_dlq.message import Place, Record
from django_dlq.testing.broker_bench import SECONDS, Bench, are_unavailable, bodies, failure_in_child, poll, until

Spoil = Callable[[Record], Record]


class Outage(Protocol):
    """A way to make the broker unreachable and reachable again."""

    def down(self) -> None:
        """Make it unreachable."""

    def up(self) -> None:
        """Make it reachable again."""


class BrokerConformance:
    """The promises of `django_dlq.brokers.base`, one test each."""

    @pytest.fixture
    def broker(self) -> Broker:
        """Return the broker to be tested."""
        raise NotImplementedError("a subclass of BrokerConformance gives the fixture `broker`")

    @pytest.fixture
    def outage(self) -> Outage:
        """Return what stops the broker and starts it again."""
        pytest.skip("this broker cannot be stopped here")

    @pytest.fixture
    def unsendable(self) -> Record:
        """Return a record that the broker refuses, however often it is offered."""
        return Record(topic="not a\0topic", body=b"refused")

    @pytest.fixture
    def spoil(self) -> Spoil:
        """Return what makes of a good record one of the same topic and key that the broker refuses."""
        return lambda record: record._replace(body=bytes(5_000_000))

    @pytest.fixture
    def bench(self, broker: Broker) -> Iterator[Bench]:
        """Return the broker with a topic of its own."""
        bench = Bench(broker)
        yield bench
        bench.close()

    def test_a_record_arrives_byte_for_byte(self, bench: Bench) -> None:
        body = bytes(range(256))
        bench.send(bench.record(body, key=b"\x00\xff key"))
        [record] = bench.read(1)
        assert (record.topic, record.key, record.body) == (bench.topic, b"\x00\xff key", body)
        assert record.timestamp is None or abs(record.timestamp.timestamp() - time.time()) < 300

    def test_headers_keep_their_order_repeated_names_and_any_bytes(self, bench: Bench) -> None:
        if not bench.broker.has_exact_headers:
            pytest.skip("this broker does not say that it keeps headers exactly")
        headers = (("b", b"1"), ("a", b"\x00\xff"), ("b", b"2"), ("absent", None), ("empty", b""), ("ä", b"name"))
        bench.send(Record(topic=bench.topic, body=b"x", headers=headers))
        assert bench.read(1)[0].headers == headers

    def test_an_absent_body_is_not_an_empty_one(self, bench: Bench) -> None:
        if not bench.broker.has_tombstones:
            pytest.skip("this broker does not say that it has tombstones")
        bench.send(bench.record(None, key=b"k"))
        bench.send(bench.record(b"", key=b"k"))
        assert [record.body for record in bench.read(2)] == [None, b""]

    @pytest.mark.parametrize("key", [None, b"\xff\xfe\x00", b"k" * 5000, "schlüssel".encode()])
    def test_a_key_may_be_absent_or_any_bytes(self, bench: Bench, key: bytes | None) -> None:
        bench.send(bench.record(b"x", key=key))
        assert bench.read(1)[0].key == key

    def test_a_body_of_900_kilobytes_arrives(self, bench: Bench) -> None:
        body = os.urandom(900_000)
        bench.send(bench.record(body))
        assert bench.read(1)[0].body == body

    def test_sending_nothing_gives_no_receipts(self, bench: Bench) -> None:
        assert bench.broker.send([], SECONDS) == []

    def test_records_of_one_key_arrive_in_the_order_sent(self, bench: Bench) -> None:
        if not bench.broker.keeps_key_order:
            pytest.skip("this broker does not say that it keeps the order of a key")
        for start in (0, 100, 200):
            bench.send(
                *(bench.record(b"%d" % number, key=b"%d" % (number % 7)) for number in range(start, start + 100))
            )
        by_key: dict[bytes | None, list[int]] = {}
        for record in bench.read(300):
            by_key.setdefault(record.key, []).append(int(record.body or b""))
        assert by_key == {b"%d" % key: list(range(key, 300, 7)) for key in range(7)}

    def test_receipts_come_in_the_order_of_the_records_and_say_where_they_are(self, bench: Bench) -> None:
        sent = bench.numbered(*range(50))
        receipts = bench.send(*sent)
        if receipts[0].offset is None:
            pytest.skip("the receipts of this broker do not say where a record is")
        found = {(record.partition, record.offset): record.body for record in bench.read(50)}
        assert [found[receipt.partition, receipt.offset] for receipt in receipts] == [record.body for record in sent]

    def test_a_refused_record_does_not_keep_others_from_being_sent(self, bench: Bench, unsendable: Record) -> None:
        good = bench.numbered(*range(10))
        receipts = bench.broker.send([*good[:5], unsendable, *good[5:]], SECONDS)
        assert isinstance(receipts.pop(5).error, MessageRefused)
        assert [receipt.error for receipt in receipts] == [None] * 10
        assert bodies(bench.read(10)) == bodies(good)

    def test_what_follows_a_refused_record_of_its_key_is_held_back(self, bench: Bench, spoil: Spoil) -> None:
        if not bench.broker.keeps_key_order:
            pytest.skip("this broker does not say that it keeps the order of a key")
        a1, a2, a3 = (bench.record(b"a%d" % number, key=b"a") for number in (1, 2, 3))
        b1, n1 = bench.record(b"b1", key=b"b"), bench.record(b"n1")
        receipts = bench.broker.send([a1, spoil(a1), b1, a2, n1, spoil(a2), a3], SECONDS)
        none = type(None)
        assert [type(receipt.error) for receipt in receipts] == [
            *(none, MessageRefused, none, HeldBack, none, HeldBack, HeldBack)
        ]
        bench.send(a2, a3)
        arrived = bench.read(5)
        assert bodies(arrived) == [b"a1", b"a2", b"a3", b"b1", b"n1"]
        assert [record.body for record in arrived if record.key == b"a"] == [b"a1", b"a2", b"a3"]

    def test_nothing_waits_for_a_refused_record_without_a_key(self, bench: Bench, spoil: Spoil) -> None:
        good = [bench.record(b"n1"), bench.record(b"n2")]
        receipts = bench.broker.send([spoil(good[0]), *good], SECONDS)
        assert [type(receipt.error) for receipt in receipts] == [MessageRefused, type(None), type(None)]

    def test_a_poll_returns_at_most_its_limit(self, bench: Bench) -> None:
        bench.send(*bench.numbered(*range(30)))
        member, sizes = bench.join(), list[int]()
        until(lambda: sum(sizes) == 30, doing=lambda: sizes.append(len(member.poll(4, 1.0))))
        assert max(sizes) <= 4

    def test_a_poll_ends_with_the_first_records_or_in_time(self, bench: Bench) -> None:
        bench.send(bench.record(b"first"))
        member = bench.join()
        bench.receive(member, 1)
        started = time.monotonic()
        assert member.poll(100, 0.5) == []
        assert 0.4 < time.monotonic() - started < 3
        bench.send(bench.record(b"second"))
        started = time.monotonic()
        assert bodies(member.poll(100, SECONDS)) == [b"second"]
        assert time.monotonic() - started < SECONDS / 4

    def test_every_group_gets_all_records(self, bench: Bench) -> None:
        sent = bench.numbered(*range(20))
        bench.send(*sent)
        assert (
            bodies(bench.receive(bench.join("one"), 20)) == bodies(bench.receive(bench.join("two"), 20)) == bodies(sent)
        )

    def test_what_was_not_committed_is_delivered_again(self, bench: Bench) -> None:
        sent = bench.numbered(*range(20))
        bench.send(*sent)
        first = bench.join()
        bench.receive(first, 20)
        first.close()
        assert bodies(bench.receive(bench.join(), 20)) == bodies(sent)

    def test_a_commit_outlives_the_member_that_made_it(self, bench: Bench) -> None:
        bench.send(*bench.numbered(*range(20)))
        first = bench.join()
        received = bench.receive(first, 20)
        first.commit(received[:12])
        first.close()
        assert bodies(bench.receive(bench.join(), 8)) == bodies(received[12:])

    def test_a_commit_counts_for_the_records_before_it(self, bench: Bench) -> None:
        bench.send(*bench.numbered(*range(20)))
        first = bench.join()
        first.commit({record.partition: record for record in bench.receive(first, 20)}.values())
        first.close()
        bench.send(bench.record(b"new"))
        assert bodies(bench.receive(bench.join(), 1)) == [b"new"]

    def test_members_share_the_records_and_what_one_loses_goes_to_another(self, bench: Bench) -> None:
        first, second = bench.join(), bench.join()
        sent: list[Record] = []
        got: tuple[list[Record], list[Record]] = ([], [])

        def send_and_poll() -> None:
            sent.extend(bench.numbered(*range(len(sent), len(sent) + 20)))
            bench.send(*sent[-20:])
            for member, records in zip((first, second), got, strict=True):
                records.extend(poll(member, 0.3))

        until(lambda: all(got), doing=send_and_poll)
        second.commit(got[1])
        first.close()
        until(
            lambda: {record.body for record in got[1]} >= {record.body for record in [*sent, *got[0]]},
            doing=lambda: got[1].extend(poll(second, 0.5)),
        )

    def test_a_commit_for_what_another_member_has_now_is_ignored(self, bench: Bench) -> None:
        bench.send(*bench.numbered(*range(20)))
        first = bench.join()
        received = bench.receive(first, 20)
        second, again = bench.join(), list[Record]()

        def poll_both() -> None:
            # The first lets go of a partition only when it polls.
            poll(first, 0.2)
            again.extend(poll(second, 0.2))

        until(lambda: bool(again), doing=poll_both)
        first.commit(received)
        first.close()
        second.close()
        lost = {record.body for record in received if record.partition == again[0].partition}
        third, got = bench.join(), list[Record]()
        until(lambda: lost <= {record.body for record in got}, doing=lambda: got.extend(poll(third, 0.5)))

    def test_a_member_that_is_kept_alive_is_given_afterwards_what_came_meanwhile(self, bench: Bench) -> None:
        sent = bench.numbered(*range(20))
        bench.send(*sent[:10])
        member = bench.join()
        received = bench.receive(member, 10)
        member.keep_alive()
        bench.send(*sent[10:])
        member.keep_alive()
        received += bench.receive(member, 10)
        assert bodies(received) == bodies(sent)

    def test_a_member_that_is_kept_alive_lets_others_join_and_says_what_they_took(self, bench: Bench) -> None:
        bench.send(*bench.numbered(*range(40)))
        first = bench.join()
        received = bench.receive(first, 40)
        second, theirs, lost = bench.join(), list[Record](), set[Place]()

        def go_on() -> None:
            first.keep_alive()
            theirs.extend(poll(second, 0.2))
            lost.update(first.revoked())

        until(lambda: bool(theirs) and bool(lost), doing=go_on)
        assert {record.place for record in theirs} <= lost < {record.place for record in received}
        assert not first.revoked()

    def test_a_member_goes_on_with_what_it_lost_and_was_given_again_while_it_was_kept_alive(self, bench: Bench) -> None:
        bench.send(*bench.numbered(*range(40)))
        first = bench.join()
        bench.receive(first, 40)
        second, theirs, again = bench.join(), list[Record](), list[Record]()

        def keep_first_alive_and_poll(member: Subscription, records: list[Record]) -> None:
            first.keep_alive()
            records.extend(poll(member, 0.3))

        until(lambda: bool(theirs), doing=lambda: keep_first_alive_and_poll(second, theirs))
        second.close()
        until(
            lambda: {record.body for record in theirs} <= {record.body for record in again},
            doing=lambda: keep_first_alive_and_poll(first, again),
        )

    def test_what_is_held_comes_when_it_is_no_longer_and_the_rest_meanwhile(self, bench: Bench) -> None:
        bench.send(*bench.numbered(*range(40)))
        member = bench.join()
        held = min(record.place for record in bench.receive(member, 40))
        if not member.hold({held}):
            return  # it need not be able to
        receipts = bench.send(*bench.numbered(*range(40, 80)))
        others = sum(receipt.partition != held[1] for receipt in receipts)
        assert 0 < others < 40
        meanwhile, afterwards = list[Record](), list[Record]()

        def keep_alive_and_poll() -> None:
            member.keep_alive()
            meanwhile.extend(poll(member, 0.3))

        until(lambda: len(meanwhile) >= others, doing=keep_alive_and_poll)
        keep_alive_and_poll()
        assert held not in {record.place for record in meanwhile}
        assert member.hold(())
        until(lambda: len(meanwhile) + len(afterwards) == 40, doing=lambda: afterwards.extend(poll(member, 0.3)))
        assert {record.place for record in afterwards} == {held}

    def test_it_works_again_after_close(self, bench: Bench) -> None:
        bench.send(bench.record(b"before"))
        bench.broker.close()
        bench.send(bench.record(b"after"))
        assert bodies(bench.read(2)) == [b"after", b"before"]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    def test_a_forked_child_uses_what_its_parent_has_opened(self, bench: Bench) -> None:
        bench.send(bench.record(b"parent"))
        member = bench.join()
        bench.receive(member, 1)
        assert failure_in_child(lambda: bench.send(bench.record(b"child"))[0].error) == ""
        bench.send(bench.record(b"parent again"))
        expected = [b"child", b"parent again"] if bench.broker.is_durable else [b"parent again"]
        assert bodies(bench.receive(member, len(expected))) == expected

    def test_an_outage_is_no_refusal_and_nothing_is_sent_behind_the_callers_back(
        self, bench: Bench, outage: Outage
    ) -> None:
        bench.send(bench.record(b"before"))
        outage.down()
        started = time.monotonic()
        receipts = bench.broker.send(bench.numbered(*range(10)), 2.0)
        took = time.monotonic() - started
        outage.up()
        assert are_unavailable(receipts)
        assert took < 3.0
        until(lambda: bench.broker.send([bench.record(b"after")], SECONDS)[0].error is None, doing=lambda: None)
        assert bodies(bench.read(2)) == [b"after", b"before"]

    def test_a_member_outlives_an_outage(self, bench: Bench, outage: Outage) -> None:
        bench.send(bench.record(b"before"))
        member = bench.join()
        received = bench.receive(member, 1)
        outage.down()
        with pytest.raises(BrokerUnavailable):
            member.commit(received)
        outage.up()
        bench.send(bench.record(b"after"))
        got: list[Record] = []
        until(lambda: b"after" in bodies(got), doing=lambda: got.extend(poll(member, 0.5)))
