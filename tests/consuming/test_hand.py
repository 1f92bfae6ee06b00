from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_dlq.consuming.delivery import Delivery
from django_dlq.consuming.hand import Hand
from django_dlq.message import ReceivedMessage, Record
from django_dlq.registry import Handler

pytestmark = pytest.mark.once


def single(message):
    raise AssertionError


def batch(messages):
    raise AssertionError


SINGLE = Handler(function=single, topics=("orders",), group="g")
BATCH = Handler(function=batch, topics=("orders",), group="g", batch_size=3)


def delivery(offset=0, key=None, *, partition=0, handler=SINGLE, outcome=None, body=b""):
    record = Record("orders", None if key is None else key.encode(), body, partition=partition, offset=offset)
    return Delivery(record, ReceivedMessage.of(record, "g"), handler, outcome)


def hand_of(*deliveries):
    hand = Hand()
    for one in deliveries:
        hand.take(one)
    return hand


def everything(_):
    return 1000


def start(hand, allowance=everything):
    return hand.next(allowance)


def finish(hand, work):
    for one in work:
        one.outcome = "handled"
    hand.returned(work)


def passed(hand):
    return sorted((record.partition, record.offset) for record in hand.passed())


class TestStarting:
    def test_the_oldest_goes_first(self):
        one, two = delivery(0), delivery(1)
        hand = hand_of(one, two)

        assert [start(hand), start(hand), start(hand)] == [[one], [two], []]

    def test_a_key_has_one_running_and_other_keys_pass_it(self):
        first, second, other = delivery(0, "a"), delivery(1, "a"), delivery(2, "b")
        hand = hand_of(first, second, other)
        work = start(hand)

        assert (work, start(hand), start(hand)) == ([first], [other], [])
        finish(hand, work)
        assert start(hand) == [second]

    def test_one_key_of_two_topics_is_two_keys(self):
        one = delivery(0, "a")
        two = Delivery(one.record._replace(topic="bills"), one.message, SINGLE)
        hand = hand_of(one, two)

        assert [start(hand), start(hand)] == [[one], [two]]

    def test_an_empty_key_is_a_key_and_an_absent_one_is_none(self):
        keyed, unkeyed = [delivery(0, ""), delivery(1, "")], [delivery(2), delivery(3)]
        hand = hand_of(*keyed, *unkeyed)

        assert [start(hand) for _ in range(4)] == [[keyed[0]], [unkeyed[0]], [unkeyed[1]], []]

    def test_what_comes_back_undone_goes_first_of_its_key(self):
        first, second = delivery(0, "a"), delivery(1, "a")
        hand = hand_of(first, second)
        hand.returned(start(hand))

        assert (start(hand), len(hand)) == ([first], 2)

    def test_what_comes_back_undone_without_a_key_goes_first(self):
        one, two = delivery(0), delivery(1)
        hand = hand_of(one, two)
        hand.returned(start(hand))

        assert [start(hand), start(hand)] == [[one], [two]]

    def test_who_may_take_nothing_is_passed_by_others(self):
        mine, theirs = delivery(0), delivery(1, handler=BATCH)
        hand = hand_of(mine, theirs)

        assert start(hand, lambda handler: 0 if handler is SINGLE else 1) == [theirs]
        assert start(hand) == [mine]


class TestBatches:
    def test_a_batch_has_what_is_there_up_to_its_size(self):
        all_four = [delivery(number, handler=BATCH) for number in range(4)]
        hand = hand_of(*all_four)

        assert [start(hand), start(hand)] == [all_four[:3], all_four[3:]]

    def test_a_batch_is_as_small_as_is_allowed(self):
        hand = hand_of(*[delivery(number, handler=BATCH) for number in range(4)])

        assert len(start(hand, lambda _: 2)) == 2

    def test_a_batch_has_several_of_a_key_in_their_order_among_the_others(self):
        all_three = [delivery(number, key, handler=BATCH) for number, key in enumerate("aba")]
        hand = hand_of(*all_three)

        assert start(hand) == all_three

    def test_what_the_batch_had_no_room_for_waits_for_its_key(self):
        keyed = [delivery(number, "a", handler=BATCH) for number in range(5)]
        hand = hand_of(*keyed)
        work = start(hand)

        assert (work, start(hand)) == (keyed[:3], [])
        finish(hand, work)
        assert start(hand) == keyed[3:]

    def test_another_handlers_message_ends_the_run_of_a_key(self):
        keyed = [delivery(0, "a", handler=BATCH), delivery(1, "a"), delivery(2, "a", handler=BATCH)]
        hand = hand_of(*keyed)
        work = start(hand)

        assert (work, start(hand)) == (keyed[:1], [])
        finish(hand, work)
        assert start(hand) == keyed[1:2]

    def test_of_a_batch_that_is_half_done_the_rest_goes_first(self):
        keyed = [delivery(number, "a", handler=BATCH) for number in range(4)]
        hand = hand_of(*keyed)
        work = start(hand)
        work[0].outcome = "handled"
        hand.returned(work)

        assert passed(hand) == [(0, 0)]
        assert start(hand) == keyed[1:]


class TestPassing:
    def test_an_offset_passes_up_to_the_first_that_is_unfinished(self):
        hand = hand_of(*[delivery(number) for number in range(3)])
        one, two, three = start(hand), start(hand), start(hand)
        finish(hand, two)
        assert passed(hand) == []

        finish(hand, one)
        assert passed(hand) == [(0, 1)]
        finish(hand, three)
        assert passed(hand) == [(0, 2)]

    def test_what_comes_back_twice_counts_once(self):
        hand = hand_of(delivery(0, "a"), delivery(1, "a"))
        work = start(hand)
        finish(hand, work)
        hand.returned(work)

        assert (passed(hand), len(hand)) == ([(0, 0)], 1)

    def test_partitions_pass_by_themselves(self):
        hand = hand_of(delivery(5, partition=0), delivery(7, partition=1))
        start(hand)
        finish(hand, start(hand))

        assert passed(hand) == [(1, 7)]

    def test_what_was_skipped_passes_with_what_is_before_it(self):
        hand = hand_of(delivery(0, outcome="tag"), delivery(1), delivery(2, outcome="group"))
        assert (passed(hand), len(hand)) == ([(0, 0)], 1)

        finish(hand, start(hand))
        assert (passed(hand), len(hand)) == ([(0, 2)], 0)

    def test_what_was_committed_is_not_committed_again(self):
        hand = hand_of(delivery(0))
        finish(hand, start(hand))
        hand.committed()

        assert passed(hand) == []


class TestRevoking:
    def test_what_has_not_started_is_dropped_and_what_runs_is_not_committed(self):
        lost, kept = delivery(0, "a"), delivery(0, "b", partition=1)
        hand = hand_of(lost, delivery(1, "a"), delivery(2, "c"), kept)
        work = start(hand)
        hand.revoke({("orders", 0)})

        assert (work, start(hand), start(hand)) == ([lost], [kept], [])
        finish(hand, work)
        assert (passed(hand), start(hand), len(hand)) == ([], [], 1)

    def test_what_had_passed_is_not_committed_either(self):
        hand = hand_of(delivery(0))
        finish(hand, start(hand))
        hand.revoke({("orders", 0)})

        assert passed(hand) == []

    def test_a_partition_that_comes_back_waits_for_what_still_runs_of_its_keys(self):
        hand = hand_of(delivery(0, "a"))
        work = start(hand)
        hand.revoke({("orders", 0)})
        again = delivery(0, "a")
        hand.take(again)
        assert start(hand) == []

        finish(hand, work)
        assert passed(hand) == []
        finish(hand, start(hand))
        assert passed(hand) == [(0, 0)]

    def test_what_comes_back_undone_is_dropped(self):
        hand = hand_of(delivery(0, "a", body=b"12345"))
        work = start(hand)
        hand.revoke({("orders", 0)})
        hand.returned(work)

        assert (len(hand), hand.bytes, start(hand)) == (0, 0, [])

    def test_a_key_in_two_partitions_goes_on_in_the_one_that_is_left(self):
        hand = hand_of(delivery(0, "a"), kept := delivery(0, "a", partition=1))
        hand.revoke({("orders", 0)})

        assert start(hand) == [kept]

    def test_with_nothing_revoked_nothing_changes(self):
        hand = hand_of(delivery(0))
        hand.revoke(())

        assert len(hand) == 1


def test_it_knows_how_many_bytes_it_holds():
    hand = hand_of(
        delivery(0, body=b"12345"), delivery(1, body=b"123", partition=1), delivery(2, body=b"9", outcome="tag")
    )
    assert hand.bytes == 8
    work = start(hand)
    assert hand.bytes == 8
    hand.returned(work)
    assert hand.bytes == 8
    hand.revoke({("orders", 1)})
    assert hand.bytes == 5
    finish(hand, start(hand))
    assert hand.bytes == 0


def test_cleared_it_holds_nothing():
    hand = hand_of(delivery(0, "a", body=b"1"))
    hand.clear()

    assert (len(hand), hand.bytes, start(hand), hand.passed()) == (0, 0, [], [])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from(["a", "b", "c", None]), st.booleans()),
        st.tuples(st.just("start"), st.just(None), st.booleans()),
        st.tuples(st.sampled_from(["finish", "give back", "half"]), st.integers(0, 9), st.just(None)),
        st.tuples(st.just("revoke"), st.integers(0, 1), st.just(None)),
    ),
    max_size=60,
)


class World:
    """A hand, with what must hold of it written down in the plainest way."""

    def __init__(self):
        self.hand, self.running = Hand(), []
        self.offsets, self.open = defaultdict(int), defaultdict(list)

    def take(self, key, is_batch):
        partition = "abc".index(key) % 2 if key else 0
        one = delivery(self.offsets[partition], key, partition=partition, handler=BATCH if is_batch else SINGLE)
        self.offsets[partition] += 1
        self.open[partition].append(one)
        self.hand.take(one)

    def start(self, _, is_limited):
        work = start(self.hand, (lambda _: 1) if is_limited else everything)
        keys = {other.key for others in self.running for other in others if other.key}
        for one in work:
            assert one.key not in keys
            assert not one.is_revoked
            older = self.open[one.record.partition][: self.open[one.record.partition].index(one)]
            assert all(other in work or other.outcome for other in older if other.key and other.key == one.key)
        assert work == sorted(work)
        if work:
            self.running.append(work)

    def end(self, what, number):
        if not self.running:
            return
        work = self.running.pop(number % len(self.running))
        done = {"finish": work, "give back": [], "half": work[: len(work) // 2]}[what]
        for one in done:
            one.outcome = "handled"
        self.hand.returned(work)

    def revoke(self, partition):
        self.open[partition].clear()
        self.hand.revoke({("orders", partition)})

    def check(self):
        for record in self.hand.passed():
            unfinished = [one.record.offset for one in self.open[record.partition] if one.outcome is None]
            assert record.offset < min(unfinished, default=record.offset + 1)
        waiting = [one for ones in self.open.values() for one in ones if one.outcome is None]
        lost = [one for work in self.running for one in work if one.is_revoked]
        assert len(self.hand) == len(waiting) + len(lost)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_whatever_happens_a_key_keeps_its_order_no_offset_passes_what_is_unfinished_and_all_is_done_at_last(steps):
    world = World()
    for what, which, is_it in steps:
        if what == "take":
            world.take(which, is_it)
        elif what == "start":
            world.start(which, is_it)
        elif what == "revoke":
            world.revoke(which)
        else:
            world.end(what, which)
        world.check()
    while len(world.hand):
        world.start(None, False)
        world.end("finish", 0)
        world.check()
    for partition, deliveries in world.open.items():
        if deliveries:
            assert (partition, deliveries[-1].record.offset) in passed(world.hand)


class TestSuspects:
    def test_one_waits_until_nothing_runs_and_nothing_is_started_meanwhile_or_beside_it(self):
        first, suspect, last = delivery(0), delivery(1), delivery(2)
        suspect.deaths = 1
        hand = hand_of(first, suspect, last)
        assert start(hand) == [first]
        assert start(hand) == []
        finish(hand, [first])
        assert start(hand) == [suspect]
        assert start(hand) == []
        finish(hand, [suspect])
        assert start(hand) == [last]

    def test_one_is_in_no_batch_with_others(self):
        deliveries = [delivery(number, handler=BATCH) for number in range(6)]
        deliveries[1].deaths = 1
        hand = hand_of(*deliveries)
        for wanted in ([0], [1], [2, 3, 4], [5]):
            work = start(hand)
            assert work == [deliveries[number] for number in wanted]
            finish(hand, work)
        assert passed(hand) == [(0, 5)]

    def test_one_behind_another_of_its_key_is_in_no_batch_with_that(self):
        deliveries = [delivery(number, "k", handler=BATCH) for number in range(3)]
        deliveries[1].deaths = 1
        hand = hand_of(*deliveries)
        for one in deliveries:
            work = start(hand)
            assert work == [one]
            finish(hand, work)

    def test_one_whose_handler_may_not_run_holds_up_nobody_when_nothing_runs(self):
        suspect, other = delivery(0), delivery(1, handler=BATCH)
        suspect.deaths = 1
        hand = hand_of(suspect, other)
        assert hand.next(lambda handler: 0 if handler is SINGLE else 1000) == [other]

    def test_one_that_comes_back_unhandled_is_started_alone_again(self):
        suspect, other = delivery(0), delivery(1)
        suspect.deaths = 1
        hand = hand_of(suspect, other)
        hand.returned(start(hand))
        assert start(hand) == [suspect]
        assert start(hand) == []
