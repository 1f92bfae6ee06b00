from datetime import UTC, time, timedelta

import pytest

from django_dlq import inbox
from django_dlq.checks.rules import RULES
from django_dlq.conf import conf
from tests.checks.found import found

pytestmark = pytest.mark.once

SECOND = timedelta(seconds=1)
NO_HOSTS = ("", "https://a.example", "a.example/", "a.example/x", "a.example?", "a.example#", "u@a.example")

WRONG = {
    "DLQ_HANDLERS_MODULE": ("E020", ["", "my handlers", "a.b", None, 5]),
    "DLQ_MAX_MESSAGE_BYTES": ("E021", [0, -1, "1", 1.5, None, True]),
    "DLQ_RELEASE": ("E022", [None, 5, b"v1"]),
    "DLQ_RELAY_BATCH": ("E023", [0, -1, "1", None, True]),
    "DLQ_RELAY_LEASE": ("E024", [30, timedelta(0), -SECOND, None, "30"]),
    "DLQ_PUBLISH_TIMEOUT": ("E025", [10, timedelta(0), -SECOND, None]),
    "DLQ_POLL_INTERVAL": ("E026", [0.1, timedelta(0), None]),
    "DLQ_CONSUMER_BATCH": ("E027", [0, -1, None, True]),
    "DLQ_RETRY_DELAYS": ("E028", [SECOND, [10], [SECOND, timedelta(0)], [None], "1s", 5]),
    "DLQ_NEVER_RETRY": ("E029", ["a.b", [ValueError], ["nowhere.Error"], ["ValueError"], ["json.dumps"], None, [5]]),
    "DLQ_PUBLISHED_RETENTION": ("E030", [7, -SECOND, "7 days", True]),
    "DLQ_INBOX_RETENTION": ("E031", [7, -SECOND]),
    "DLQ_CLOSED_RETENTION": ("E032", [7, -SECOND]),
    "DLQ_MASKED_FIELDS": ("E033", ["password", [5], None, {"a"}]),
    "DLQ_HOLD_TOPICS": ("E034", ["orders", [5], None, [""], ["a*b"], ["**"]]),
    "DLQ_OUTBOX_RETENTION": ("E035", [7, timedelta(0), -SECOND, "7 days"]),
    "DLQ_RELAY_POLL_INTERVAL": ("E036", [0.1, timedelta(0), None]),
    "DLQ_PRUNE": ("E037", [None, 1, "yes"]),
    "DLQ_PRUNE_WINDOW": (
        "E038",
        [5, "22-05", [time(1)], (time(1), time(1)), (1, 5), (time(1), None), (time(1), time(2, tzinfo=UTC))],
    ),
    "DLQ_PRUNE_PAUSE": ("E039", [None, 1, -SECOND]),
    "DLQ_LOCK_KEYS": ("E070", [None, 1, "yes"]),
    "DLQ_RELAY_NOTIFY": ("E071", [None, 1, "yes"]),
    "DLQ_CONSUMER_GRACE": ("E072", [None, 30, timedelta(0)]),
    "DLQ_REPLAY_WINDOW": ("E073", [None, 7, -SECOND]),
    "DLQ_STORM_IN_ROW": ("E113", [0, -1, "50", True, 1.5]),
    "DLQ_STORM_SHARE": ("E114", [0, -0.1, 1.1, "0.5", True]),
    "DLQ_STORM_WINDOW": ("E115", [99, None, "200", True]),
    "DLQ_MOST_DEATHS": ("E116", [None, 0, 1, True, "3"]),
    "DLQ_PROBE_INTERVAL": ("E104", [None, 2, timedelta(0)]),
    "DLQ_REPLAY_AFTER_OUTAGE": ("E105", [None, 1, "yes"]),
    "DLQ_CHECKBACK_AFTER": ("E120", [None, 6, -SECOND]),
    "DLQ_CHECKBACK_EVERY": ("E121", [None, 30, timedelta(0)]),
    "DLQ_CHECKBACK_MOST": ("E122", [None, 0, True, "15"]),
    "DLQ_CHECKBACK_TIMEOUT": ("E123", [None, 10, timedelta(0)]),
    "DLQ_CHECKBACK_THREADS": ("E124", [None, 0, True, "8"]),
    "DLQ_DECIDED_RETENTION": ("E125", [7, -SECOND, "7 days"]),
    "DLQ_CHECKBACK_HOSTS": ("E130", ["a.example", None, [5], *([host] for host in NO_HOSTS)]),
    "DLQ_CHECKBACK_ALLOW_HTTP": ("E131", [None, 1, "yes"]),
    "DLQ_CHECKBACK_ALLOW_PRIVATE": ("E132", [None, 1, "yes"]),
    "DLQ_CHECKBACK_HTTP_TIMEOUT": ("E133", [None, 5, timedelta(0)]),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, values) in WRONG.items() for value in values])
def test_every_wrong_setting_has_its_id(settings, name, value):
    setattr(settings, name, value)

    assert found() == [WRONG[name][0]]


def test_every_setting_is_checked():
    properties = {name for name in dir(conf) if name.startswith("DLQ_")}

    assert properties == {"DLQ_BROKERS", *WRONG}
    assert [rule.setting for rule in RULES] == list(WRONG)


@pytest.mark.parametrize(
    "right",
    [
        {"DLQ_RETRY_DELAYS": [SECOND], "DLQ_NEVER_RETRY": []},
        {"DLQ_RETRY_DELAYS": (), "DLQ_NEVER_RETRY": ("builtins.ValueError", "builtins.SystemExit")},
        {"DLQ_PUBLISHED_RETENTION": timedelta(0)},
        {"DLQ_PUBLISHED_RETENTION": None, "DLQ_INBOX_RETENTION": None, "DLQ_CLOSED_RETENTION": None},
        {"DLQ_CLOSED_RETENTION": timedelta(1), "DLQ_REPLAY_WINDOW": timedelta(2), "DLQ_INBOX_RETENTION": timedelta(4)},
        {"DLQ_CLOSED_RETENTION": timedelta(1), "DLQ_REPLAY_WINDOW": timedelta(0), "DLQ_INBOX_RETENTION": timedelta(2)},
        {"DLQ_MASKED_FIELDS": ()},
        {"DLQ_STORM_IN_ROW": None, "DLQ_STORM_SHARE": 1, "DLQ_STORM_WINDOW": 100},
        {"DLQ_STORM_IN_ROW": 1, "DLQ_STORM_SHARE": None},
        {"DLQ_PRUNE": False, "DLQ_PRUNE_WINDOW": (time(22), time(5)), "DLQ_PRUNE_PAUSE": SECOND},
        {"DLQ_HOLD_TOPICS": ["orders", "ledger.*", "*"]},
    ],
)
def test_right_settings_are_right(settings, right):
    for name, value in right.items():
        setattr(settings, name, value)

    assert found() == []


@pytest.mark.parametrize("timeout", [30, 31])
def test_a_relay_must_know_the_outcome_before_another_takes_over(settings, timeout):
    settings.DLQ_PUBLISH_TIMEOUT = timedelta(seconds=timeout)

    assert found() == ["E040"]


@pytest.mark.parametrize(("seconds", "ids"), [(10, []), (10.1, ["E043"])])
def test_a_relay_must_not_rest_until_it_seems_dead(settings, seconds, ids):
    settings.DLQ_RELAY_POLL_INTERVAL = timedelta(seconds=seconds)

    assert found() == ids


@pytest.mark.parametrize(
    ("inbox_days", "closed_days", "replay_days"), [(30, 30, 0), (29, 30, 0), (90, None, 0), (37, 30, 7), (90, 30, 60)]
)
def test_the_inbox_must_remember_for_longer_than_letters_can_be_replayed_and_be_on_their_way(
    settings, inbox_days, closed_days, replay_days
):
    settings.DLQ_REPLAY_WINDOW = timedelta(replay_days)
    settings.DLQ_INBOX_RETENTION = timedelta(inbox_days)
    settings.DLQ_CLOSED_RETENTION = closed_days and timedelta(closed_days)

    assert found() == ["E041"]


def test_several_mistakes_are_all_found_at_once(settings, registry):
    inbox.handler("orders", group="shipping")(print)
    settings.DLQ_RELAY_BATCH = 0
    settings.DLQ_RELAY_LEASE = 5
    settings.DLQ_BROKERS = None

    assert found() == ["E001", "E023", "E024"]
