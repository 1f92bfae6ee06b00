from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.checks import run_checks
from django.db import connection

from django_dlq.checks import databases
from django_dlq.models import InboxMessage
from tests import scripted_broker
from tests.checks.found import found
from tests.slots import SHARING

pytestmark = pytest.mark.django_db

KAFKA = {"BACKEND": "django_dlq.brokers.kafka.KafkaBroker", "OPTIONS": {"bootstrap.servers": "127.0.0.1:1"}}

POSTGRESQL = SimpleNamespace(vendor="postgresql", settings_dict={"NAME": "shop"})


@pytest.fixture
def debezium(settings, monkeypatch):
    """Let Debezium send the outbox of a project that has all that this needs; the database may be another one."""
    settings.DLQ_OUTBOX_RETENTION = timedelta(days=3)
    settings.DLQ_BROKERS = {"default": KAFKA}
    monkeypatch.setattr(databases, "connections", {"default": POSTGRESQL})
    followed = ["default"]
    monkeypatch.setattr(databases, "followed_brokers", lambda using: followed)
    return followed


def test_debezium_with_kafka_and_postgresql_is_right(debezium):
    assert found() == found("database") == []


def test_debezium_reads_no_other_database(debezium, monkeypatch):
    monkeypatch.setattr(databases, "connections", {"default": SimpleNamespace(vendor="mysql")})

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


def test_brokers_that_would_share_a_slot_are_found(debezium, settings):
    settings.DLQ_BROKERS = {"default": KAFKA, **dict.fromkeys(SHARING, KAFKA)}

    assert found("database") == ["E063"]


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


@pytest.mark.parametrize("lock", [False, True])
def test_locks_of_keys_that_the_database_does_not_have_are_warned_of(settings, lock):
    settings.DLQ_LOCK_KEYS = lock
    warned = lock and connection.vendor == "mysql"

    assert found("database") == (["W061"] if warned else [])


@pytest.mark.parametrize("notify", [False, True])
def test_a_wake_up_that_the_database_does_not_have_is_warned_of(settings, notify):
    settings.DLQ_RELAY_NOTIFY = notify
    warned = notify and connection.vendor != "postgresql"

    assert found("database") == (["W062"] if warned else [])


def test_a_wake_up_that_the_driver_cannot_hear_is_warned_of(settings, monkeypatch):
    settings.DLQ_RELAY_NOTIFY = True
    psycopg2 = SimpleNamespace(vendor="postgresql", Database=SimpleNamespace(__name__="psycopg2"))
    monkeypatch.setattr(databases, "connections", {"default": psycopg2})

    assert found("database") == ["W062"]
