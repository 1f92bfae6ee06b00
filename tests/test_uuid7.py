import threading
import time

import pytest

from django_dlq.uuid7 import next_uuid7

pytestmark = pytest.mark.once


def test_the_bits_are_where_the_standard_has_them():
    before = time.time_ns() // 1_000_000
    value = next_uuid7()

    assert before - 1000 <= value >> 80 <= time.time_ns() // 1_000_000 + 1000
    assert (value >> 76 & 0xF, value >> 62 & 0b11, value >> 128) == (7, 0b10, 0)


def test_a_later_one_is_greater_though_the_clock_stands_still_or_goes_back(monkeypatch):
    first = next_uuid7()
    monkeypatch.setattr("django_dlq.uuid7.time.time_ns", lambda: 0)
    later = [next_uuid7() for _ in range(5000)]  # more than a millisecond has fractions

    assert sorted({first, *later}) == [first, *later]


def test_threads_never_draw_the_same_moment(monkeypatch):
    monkeypatch.setattr("django_dlq.uuid7.os.urandom", bytes)  # so that only the moments tell them apart
    drawn = []
    threads = [threading.Thread(target=lambda: drawn.extend(next_uuid7() for _ in range(2000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(drawn)) == 8000
