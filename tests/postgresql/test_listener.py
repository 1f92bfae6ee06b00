"""A relay hears the calls of those who publish, and nothing that happens to its ear troubles it."""

import time
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from django_dlq.models.wake_up import CHANNEL
from django_dlq.relaying import listener as module
from django_dlq.relaying.listener import Listener
from tests.calls import connect, listeners, terminate

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 30.0


@pytest.fixture(autouse=True)
def patient(settings, monkeypatch) -> None:
    """Turn calls on; who cannot listen tries again at once."""
    settings.DLQ_RELAY_NOTIFY = True
    monkeypatch.setattr(module, "pause_after", lambda troubles: 0.0)


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener("default")
    yield listener
    listener.close()


def call(times: int = 1) -> None:
    with connect() as other:
        # All in one commit, and so in one packet; without a payload they would be one already.
        other.execute("SELECT pg_notify(%s, n::text) FROM generate_series(1, %s) AS n", [CHANNEL, times])


def seconds(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def test_beginning_to_listen_counts_as_a_call_since_those_before_were_not_heard(listener) -> None:
    assert listener.wait(LONG)
    assert not listener.wait(0.01)
    assert len(listeners()) == 1


def test_a_call_ends_the_waiting(listener) -> None:
    listener.wait(LONG)
    call()

    assert listener.wait(LONG)
    assert not listener.wait(0.01)


def test_without_a_call_it_waits_as_long_as_it_shall(listener) -> None:
    listener.wait(LONG)

    assert seconds(lambda: listener.wait(0.05)) >= 0.049


def test_many_calls_at_once_are_one(listener) -> None:
    listener.wait(LONG)
    call(100)

    assert listener.wait(LONG)
    assert not listener.wait(0.01)


def test_a_call_of_which_note_was_taken_ends_the_next_waiting(listener) -> None:
    listener.take_note()
    listener.wait(LONG)
    call()
    listener.take_note()
    listener.take_note()

    assert listener.wait(LONG)
    assert not listener.wait(0.01)


def test_a_session_that_was_ended_is_made_anew_without_a_word(listener, caplog) -> None:
    listener.wait(LONG)
    (pid,) = listeners()
    terminate(pid)

    # The server's last words, the end of the connection, and the new one.
    assert any(listener.wait(LONG) for _ in range(3))
    assert listeners() not in ([], [pid])
    call()
    assert listener.wait(LONG)
    assert not caplog.records


def test_who_cannot_listen_waits_and_tries_again_later_each_time(listener, monkeypatch) -> None:
    troubles = []
    monkeypatch.setattr(module, "pause_after", lambda count: troubles.append(count) or 0.0)
    monkeypatch.setitem(connection.settings_dict, "PORT", 1)
    assert not any(listener.wait(LONG) for _ in range(3))
    assert troubles == [1, 2, 3]

    monkeypatch.setattr(module, "pause_after", lambda count: 3600.0)
    assert not listener.wait(LONG)
    assert seconds(lambda: listener.wait(0.05)) >= 0.049


def test_after_it_has_heard_something_patience_begins_anew(listener, monkeypatch) -> None:
    troubles = []
    monkeypatch.setattr(module, "pause_after", lambda count: troubles.append(count) or 0.0)
    for _ in range(2):
        listener.wait(LONG)
        listener.wait(0)
        listener._connection.close()
        assert not listener.wait(LONG)

    assert troubles == [1, 1]


def test_without_the_setting_nobody_listens(settings, listener) -> None:
    settings.DLQ_RELAY_NOTIFY = False

    assert not listener.wait(0)
    assert not listeners()


def test_who_has_closed_it_listens_no_longer(listener) -> None:
    listener.wait(LONG)
    (pid,) = listeners()
    listener.close()

    terminate(pid)  # until the server has noticed too
    assert not listeners()


def test_an_idle_session_is_kept_from_being_forgotten_on_the_way(listener) -> None:
    listener.wait(LONG)
    parameters = listener._connection.info.get_parameters()

    assert {name: parameters[name] for name in module.PATIENCE} == {
        name: str(value) for name, value in module.PATIENCE.items()
    }


def test_a_project_may_decide_itself_how_to_connect(listener, monkeypatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"keepalives_idle": 7, "pool": True})
    listener.wait(LONG)

    assert listener._connection.info.get_parameters()["keepalives_idle"] == "7"
