import threading
from datetime import timedelta

import pytest

from django_dlq.consuming import watch
from django_dlq.consuming.watch import Watch, last_words, what_it_was_doing
from django_dlq.time_limit import within

pytestmark = pytest.mark.once
SHORT = timedelta(microseconds=1)


def test_what_runs_longer_than_it_may_is_reported_and_what_does_not_is_not(monkeypatch):
    reports, heard = [], threading.Event()

    def report(call):
        reports.append(call)
        heard.set()

    monkeypatch.setattr(watch, "LOOK_EVERY", 0.001)
    watching = Watch(report, grace=0.01)
    with within(SHORT, about="slow") as call:
        assert heard.wait(30)
    watching.close()

    assert set(reports) == {call}
    assert [thread for thread in threading.enumerate() if thread.name == "dlq-watch"] == []


def test_a_watch_may_be_closed_by_what_it_reports(monkeypatch):
    closed = threading.Event()

    def report(call):
        watching.close()
        closed.set()

    monkeypatch.setattr(watch, "LOOK_EVERY", 0.001)
    watching = Watch(report, grace=0.01)
    with within(SHORT, about="slow"):
        assert closed.wait(30)


def test_the_error_says_how_long_and_where():
    with within(SHORT, about="slow") as call:
        error = what_it_was_doing(call)

    assert "after its limit of 1e-06 seconds" in str(error)
    assert "test_the_error_says_how_long_and_where" in error.__notes__[0]


def test_whoever_writes_last_words_has_some_seconds_and_the_end_comes_all_the_same(monkeypatch):
    ended = threading.Event()
    with last_words(ended.set):
        assert not ended.is_set()
    assert ended.is_set()

    ended.clear()
    monkeypatch.setattr(watch, "SECONDS_TO_WRITE", 0.01)
    with last_words(ended.set):
        assert ended.wait(30)
