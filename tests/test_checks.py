from datetime import UTC, time, timedelta
from types import SimpleNamespace

import pytest
from django.core.checks import Error, run_checks
from django.db import connection

from django_dlq import checks, inbox
from django_dlq.brokers.base import Broker
from django_dlq.conf import conf
from django_dlq.models import InboxMessage
from tests import scripted_broker

SECOND = timedelta(seconds=1)


def found(*tags):
    """Return the ids of what `manage.py check` says about this app, and see to it that each tells what to do."""
    messages = [each for each in run_checks(tags=tags or ["django_dlq"], databases=["default"]) if "dlq" in each.id]
    assert all(message.msg and message.hint for message in messages)
    return sorted(message.id.removeprefix("django_dlq.") for message in messages)


def test_the_settings_of_the_tests_are_right():
    assert found() == []


class Picky(Broker):
    @classmethod
    def check(cls, alias, options):
        return [Error(f"{alias} needs a server", hint="Name one.", id="django_dlq.E199")] if not options else []


PICKY = f"{__name__}.Picky"


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ([], ["E001"]),
        ("django_dlq.brokers.memory.MemoryBroker", ["E001"]),
        (None, ["E001"]),
        ({}, ["W001"]),
        ({"default": {}}, ["E002"]),
        ({"default": None}, ["E002"]),
        ({"default": {"BACKEND": Broker}}, ["E002"]),
        ({"default": {"BACKEND": scripted_broker.PATH, "OPTION": {}}}, ["E003"]),
        ({"default": {"BACKEND": "nowhere.Broker"}}, ["E004"]),
        ({"default": {"BACKEND": "broker"}}, ["E004"]),
        ({"default": {"BACKEND": "django_dlq.brokers.memory.Memory"}}, ["E004"]),
        ({"default": {"BACKEND": "datetime.timedelta"}}, ["E005"]),
        ({"default": {"BACKEND": "json.dumps"}}, ["E005"]),
        ({"default": {"BACKEND": scripted_broker.PATH, "OPTIONS": []}}, ["E006"]),
        ({"default": {"BACKEND": scripted_broker.PATH, "OPTIONS": None}}, ["E006"]),
        ({"default": {"BACKEND": PICKY}}, ["E199"]),
        ({"default": {"BACKEND": PICKY, "OPTIONS": {"a": 1}}}, []),
        ({"default": {"BACKEND": scripted_broker.PATH}, "b": {}, 3: {"BACKEND": "nowhere.Broker"}}, ["E002", "E004"]),
    ],
)
def test_every_mistake_in_the_brokers_has_its_id(settings, registry, value, ids):
    settings.DLQ_BROKERS = value

    assert found() == ids


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
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, values) in WRONG.items() for value in values])
def test_every_wrong_setting_has_its_id(settings, name, value):
    setattr(settings, name, value)

    assert found() == [WRONG[name][0]]


def test_every_setting_is_checked():
    properties = {name for name in dir(conf) if name.startswith("DLQ_")}

    assert properties == {"DLQ_BROKERS", *WRONG}
    assert [name for name, _, _ in checks.RULES] == list(WRONG)


@pytest.mark.parametrize(
    "right",
    [
        {"DLQ_RETRY_DELAYS": [SECOND], "DLQ_NEVER_RETRY": []},
        {"DLQ_RETRY_DELAYS": (), "DLQ_NEVER_RETRY": ("builtins.ValueError", "builtins.SystemExit")},
        {"DLQ_PUBLISHED_RETENTION": timedelta(0)},
        {"DLQ_PUBLISHED_RETENTION": None, "DLQ_INBOX_RETENTION": None, "DLQ_CLOSED_RETENTION": None},
        {"DLQ_CLOSED_RETENTION": timedelta(1), "DLQ_INBOX_RETENTION": timedelta(2)},
        {"DLQ_MASKED_FIELDS": ()},
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


@pytest.mark.parametrize(("inbox_days", "closed_days"), [(30, 30), (29, 30), (90, None)])
def test_the_inbox_must_remember_for_longer_than_letters_can_be_restored(settings, inbox_days, closed_days):
    settings.DLQ_INBOX_RETENTION = timedelta(inbox_days)
    settings.DLQ_CLOSED_RETENTION = closed_days and timedelta(closed_days)

    assert found() == ["E041"]


def test_several_mistakes_are_all_found_at_once(settings, registry):
    inbox.handler("orders", group="shipping")(print)
    settings.DLQ_RELAY_BATCH = 0
    settings.DLQ_RELAY_LEASE = 5
    settings.DLQ_BROKERS = None

    assert found() == ["E001", "E023", "E024"]


def test_a_handler_of_an_unknown_broker_is_found(registry):
    inbox.handler("orders", group="shipping", broker="events")(print)

    (message,) = [each for each in run_checks(tags=["django_dlq"]) if each.id == "django_dlq.E050"]
    assert "builtins.print" in message.msg
    assert "'events'" in message.msg
    assert found() == ["E050"]


KAFKA = {"BACKEND": "django_dlq.brokers.kafka.KafkaBroker", "OPTIONS": {"bootstrap.servers": "127.0.0.1:1"}}


@pytest.fixture
def debezium(settings, monkeypatch):
    """Let Debezium send the outbox of a project that has all that this needs; the database may be another one."""
    settings.DLQ_OUTBOX_RETENTION = timedelta(days=3)
    settings.DLQ_BROKERS = {"default": KAFKA}
    monkeypatch.setattr(checks, "connections", {"default": SimpleNamespace(vendor="postgresql")})
    followed = ["default"]
    monkeypatch.setattr(checks, "followed_brokers", lambda using: followed)
    return followed


def test_debezium_with_kafka_and_postgresql_is_right(debezium):
    assert found() == found("database") == []


def test_debezium_reads_no_other_database(debezium, monkeypatch):
    monkeypatch.setattr(checks, "connections", {"default": SimpleNamespace(vendor="mysql")})

    assert found("database") == ["E061"]


@pytest.mark.parametrize(
    "broker", [{"BACKEND": scripted_broker.PATH}, {"BACKEND": scripted_broker.PATH, "OPTIONS": {}}]
)
def test_debezium_sends_to_no_other_broker(debezium, settings, broker):
    settings.DLQ_BROKERS = {"default": KAFKA, "other": broker}

    assert found() == ["E042"]


def test_without_brokers_debezium_is_not_what_is_wrong(debezium, settings):
    settings.DLQ_BROKERS = None

    assert found() == ["E001"]


def test_a_connector_that_has_lost_its_place_in_the_log_is_found(debezium):
    debezium.clear()

    assert found("database") == ["W060"]


def test_where_debezium_could_not_work_anyway_its_connectors_are_not_looked_for(debezium, settings):
    debezium.clear()
    settings.DLQ_BROKERS = {"default": {"BACKEND": scripted_broker.PATH}}

    assert found("database") == []


class Apart:
    def db_for_write(self, model, **_):
        return "other" if model is InboxMessage else None


def test_tables_in_several_databases_are_found(settings):
    settings.DATABASE_ROUTERS = [Apart()]

    (message,) = [each for each in run_checks(tags=["database"], databases=["default"]) if each.id == "django_dlq.E060"]
    assert "['default', 'other']" in message.msg
    assert found("database") == ["E060"]


@pytest.mark.django_db
@pytest.mark.parametrize("lock", [False, True])
def test_locks_of_keys_that_the_database_does_not_have_are_warned_of(settings, lock):
    settings.DLQ_LOCK_KEYS = lock
    warned = lock and connection.vendor == "mysql"

    assert found("database") == (["W061"] if warned else [])


@pytest.mark.django_db
@pytest.mark.parametrize("notify", [False, True])
def test_a_wake_up_that_the_database_does_not_have_is_warned_of(settings, notify):
    settings.DLQ_RELAY_NOTIFY = notify
    warned = notify and connection.vendor != "postgresql"

    assert found("database") == (["W062"] if warned else [])


def test_a_wake_up_that_the_driver_cannot_hear_is_warned_of(settings, monkeypatch):
    settings.DLQ_RELAY_NOTIFY = True
    psycopg2 = SimpleNamespace(vendor="postgresql", Database=SimpleNamespace(__name__="psycopg2"))
    monkeypatch.setattr(checks, "connections", {"default": psycopg2})

    assert found("database") == ["W062"]
