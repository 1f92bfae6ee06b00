import logging
from types import SimpleNamespace

import pytest
from django.dispatch import Signal

from django_dlq import signals

pytestmark = pytest.mark.once

LETTER = SimpleNamespace(
    pk=7, state="dead", topic="orders", message_key="order-1", group="shipping", error_class="ValueError",
    error_message="first line\nsecond line",
)  # fmt: skip
MESSAGE = SimpleNamespace(message_key="order-1", group="shipping")
EVENT = SimpleNamespace(kind="discarded", actor_name="ana")

LOGGED = [
    ("relay_took_lanes", {"owner": "me", "lanes": {3: 1, 4: 1}}, "INFO", "relay me has taken 2 lanes"),
    ("relay_gave_lanes", {"owner": "me", "lanes": [3]}, "INFO", "relay me has given 1 lanes to other relays"),
    ("relay_lost_lanes", {"owner": "me", "lanes": {3}}, "WARNING", "relay me was silent for too long and lost 1 lanes"),
    ("broker_available", {"broker": "default"}, "INFO", "broker default is available again"),
    ("messages_published", {"rows": [1, 2]}, "DEBUG", "published 2 messages"),
    ("broker_unavailable", {"broker": "default", "error": OSError("x")}, "WARNING", "broker default is unavailable: x"),
    ("database_unavailable", {"error": OSError("x")}, "WARNING", "the database is unavailable: x"),
    ("message_skipped", {"message": MESSAGE, "why": "tag"}, "DEBUG", "skipped order-1 in group shipping: tag"),
    (
        "message_failed",
        {"letter": LETTER},
        "WARNING",
        "dead letter 7: topic orders, message key order-1, group shipping: ValueError: first line",
    ),
    ("letter_changed", {"letter": LETTER, "event": EVENT}, "INFO", "letter 7 discarded by ana: now dead"),
    (
        "switch_changed",
        {"pause": "topic orders", "is_paused": True, "actor_name": "ana", "reason": "wrong\ntotals"},
        "WARNING",
        "paused topic orders by ana: wrong totals",
    ),
    (
        "switch_changed",
        {"pause": "key orders a\nb", "is_paused": False, "actor_name": "ana", "reason": "mended"},
        "WARNING",
        "resumed key orders a b by ana: mended",
    ),
]


@pytest.mark.parametrize(("name", "facts", "level", "text"), LOGGED)
def test_what_happens_is_logged_once(caplog, name, facts, level, text):
    with caplog.at_level(logging.DEBUG, "django_dlq"):
        signals.tell(getattr(signals, name), object, **facts)

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("django_dlq", level)
    assert record.getMessage().startswith(text)
    assert "\n" not in record.getMessage()


def test_a_letter_of_the_relay_has_no_group(caplog):
    signals.tell(signals.message_failed, object, letter=SimpleNamespace(**vars(LETTER) | {"group": ""}))

    assert "group -: ValueError" in caplog.text


def test_a_receiver_that_fails_stops_neither_the_machine_nor_the_others(caplog):
    signal, told = Signal(), []

    def fails(**_):
        raise ZeroDivisionError

    def listens(sender, n, **_):
        told.append((sender, n))

    signal.connect(fails)
    signal.connect(listens)
    signals.tell(signal, int, n=5)

    assert told == [(int, 5)]
    (record,) = [record for record in caplog.records if record.name == "django_dlq"]
    assert record.exc_info[0] is ZeroDivisionError


def test_nobody_need_listen(caplog):
    signals.tell(Signal(), int, n=5)
    assert caplog.records == []
