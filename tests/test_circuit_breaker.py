import random
import threading

import pytest

from django_dlq.circuit_breaker import FIRST_PAUSE, LONGEST_PAUSE, PROBE_LIMIT, CircuitBreaker

pytestmark = pytest.mark.once


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def breaker(clock, **arguments):
    return CircuitBreaker(clock=clock, **{"chance": lambda: 1.0} | arguments)


def opened(clock, **arguments):
    circuit = breaker(clock, **arguments)
    circuit.failed("refused")
    return circuit


def after_the_pause(clock, circuit):
    clock.now += circuit.wait + 0.001
    return circuit


def test_what_never_failed_may_be_used_by_all(clock):
    circuit = breaker(clock)

    assert circuit.allows()
    assert circuit.allows()
    assert (circuit.is_open, circuit.is_probing, circuit.since, circuit.reason, circuit.troubles, circuit.wait) == (
        False, False, None, "", 0, 0.0,
    )  # fmt: skip


def test_a_failure_opens_it_and_is_remembered(clock):
    circuit = opened(clock)

    assert circuit.is_open
    assert not circuit.allows()
    assert (circuit.since, circuit.reason, circuit.troubles) == (1000.0, "refused", 1)


def test_it_opens_with_the_failure_that_reaches_the_threshold(clock):
    circuit = breaker(clock, threshold=3)
    circuit.failed("one")
    circuit.failed("two")
    assert circuit.allows()
    assert not circuit.is_open
    clock.now += 1
    circuit.failed("three")

    assert not circuit.allows()
    assert (circuit.since, circuit.reason) == (1000.0, "three")
    assert circuit.wait == pytest.approx(FIRST_PAUSE)


def test_a_success_in_between_begins_the_count_anew(clock):
    circuit = breaker(clock, threshold=2)
    circuit.failed("one")
    circuit.succeeded()
    circuit.failed("one")

    assert circuit.allows()


def test_after_the_pause_exactly_one_may_probe(clock):
    circuit = after_the_pause(clock, opened(clock))

    assert not circuit.is_probing
    assert [circuit.allows() for _ in range(3)] == [True, False, False]
    assert circuit.is_probing
    assert circuit.is_open


def test_a_probe_that_succeeds_closes_it(clock):
    circuit = after_the_pause(clock, opened(clock))
    circuit.allows()
    circuit.succeeded()

    assert circuit.allows()
    assert circuit.allows()
    assert (circuit.is_open, circuit.is_probing, circuit.since, circuit.reason, circuit.troubles) == (
        False, False, None, "", 0,
    )  # fmt: skip


def test_a_probe_that_fails_begins_a_pause_twice_as_long_up_to_the_longest(clock):
    circuit, pauses = opened(clock), []
    for _ in range(40):
        pauses.append(circuit.wait)
        after_the_pause(clock, circuit)
        assert circuit.allows()
        circuit.failed("still refused")

    assert pauses[:5] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2])
    assert pauses[5:] == pytest.approx([LONGEST_PAUSE] * 35)
    assert (circuit.since, circuit.reason, circuit.troubles) == (1000.0, "still refused", 41)


def test_the_longest_pause_may_be_chosen(clock):
    assert opened(clock, longest=0.05).wait == pytest.approx(0.05)


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_jitter_takes_up_to_half_of_a_pause(clock, chance, share):
    assert opened(clock, chance=lambda: chance).wait == pytest.approx(FIRST_PAUSE * share)


def test_what_reports_during_the_pause_was_under_way_before_and_changes_only_the_reason(clock):
    circuit = opened(clock)
    clock.now += 0.1
    circuit.failed("timed out")
    circuit.succeeded()

    assert (circuit.is_open, circuit.troubles, circuit.reason) == (True, 1, "timed out")
    assert circuit.wait == pytest.approx(FIRST_PAUSE - 0.1)


def test_a_probe_that_was_not_made_is_left_to_the_next(clock):
    circuit = after_the_pause(clock, opened(clock))
    circuit.allows()
    circuit.forgo()

    assert circuit.is_open
    assert circuit.allows()


def test_a_probe_that_never_reports_does_not_keep_it_open_for_good(clock):
    circuit = after_the_pause(clock, opened(clock))
    circuit.allows()
    clock.now += PROBE_LIMIT - 1
    assert not circuit.allows()
    clock.now += 1

    assert not circuit.is_probing
    assert circuit.allows()


def test_of_many_threads_one_probes(clock):
    circuit = after_the_pause(clock, opened(clock))
    start, allowed = threading.Barrier(8), []

    def ask():
        start.wait()
        allowed.append(circuit.allows())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(allowed) == [False] * 7 + [True]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_its_promises_hold(clock, seed):
    chance = random.Random(seed)
    threshold, longest = chance.randint(1, 4), chance.choice([0.3, 5.0])
    circuit = CircuitBreaker(threshold=threshold, longest=longest, clock=clock, chance=chance.random)
    in_a_row, probe_out = 0, False
    for _ in range(500):
        resting, was_open = circuit.wait > 0, circuit.is_open
        match chance.choice(["ask", "fail", "succeed", "wait", "forgo"]):
            case "ask":
                allowed = circuit.allows()
                assert allowed == (not was_open or (not resting and not probe_out))
                probe_out = was_open and (probe_out or allowed)
            case "fail":
                circuit.failed("no")
                in_a_row, probe_out = (in_a_row, probe_out) if resting else (in_a_row + 1, False)
            case "succeed":
                circuit.succeeded()
                in_a_row, probe_out = (in_a_row, probe_out) if resting else (0, False)
            case "wait":
                clock.now += chance.random() * longest / 2
                probe_out = probe_out and circuit.is_probing
            case "forgo":
                circuit.forgo()
                probe_out = False
        assert circuit.troubles == in_a_row
        assert circuit.is_open == (in_a_row >= threshold)
        assert circuit.wait <= longest
        assert (circuit.since is None) == (in_a_row == 0)
        assert circuit.is_probing == probe_out
        assert not (circuit.is_probing and circuit.wait)
