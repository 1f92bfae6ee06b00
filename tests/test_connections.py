import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from django_dlq.connections import PATIENCE, close_connections, lost_connection, notice_silence, open_connections

IS_POSTGRESQL = connection.vendor == "postgresql"

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_wrong_statement_is_no_lost_connection():
    connection.ensure_connection()

    assert not lost_connection(OperationalError("deadlock detected"))
    assert not lost_connection(ValueError("no"))
    assert not lost_connection(DatabaseError("wrong SQL"))


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("gone")], ids=repr)
def test_a_connection_that_does_not_answer_is_lost(monkeypatch, error):
    monkeypatch.setattr(connection, "is_usable", lambda: False)

    assert lost_connection(error)


def test_a_database_that_cannot_be_reached_is_lost(monkeypatch):
    def refused():
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "ensure_connection", refused)

    assert lost_connection(OperationalError("gone"))


def test_closed_connections_are_made_anew():
    connection.ensure_connection()
    before = open_connections()
    close_connections()

    assert open_connections() == [None]
    connection.ensure_connection()
    assert open_connections()[0] is not None
    assert open_connections() != before


@pytest.fixture
def options(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options := {"connect_timeout": 1})
    return options


def test_connections_of_postgresql_fail_when_their_server_is_silent_for_long(options):
    notice_silence()

    assert options == ({**PATIENCE, "connect_timeout": 1} if IS_POSTGRESQL else {"connect_timeout": 1})


def test_a_service_file_is_left_to_say_how_long(options):
    options["service"] = "shop"
    notice_silence()

    assert options == {"connect_timeout": 1, "service": "shop"}
