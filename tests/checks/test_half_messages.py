import pytest
from django.core.checks import run_checks
from django.db import DatabaseError, connection

from django_dlq.checks.half_messages import check_missing_checkers
from django_dlq.models import HalfMessage
from tests.checks.found import found
from tests.half_messages import answering, due

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_checkers")]


@pytest.fixture
def orphans(no_checkers):
    """Leave two half messages, and one that was decided, without their checker."""
    answering()
    halves = due(3)
    halves[0].commit()
    no_checkers.by_name.clear()


def test_with_its_checker_a_half_message_is_right():
    answering()
    due()

    assert found("database") == []


def test_those_whose_checker_is_gone_are_warned_of(orphans):
    assert found("database") == ["W120"]
    (message,) = check_missing_checkers(databases=["default"])
    assert message.msg.startswith("2 half messages wait for the checker 'charge'")


def test_the_database_is_looked_at_only_if_it_may_be(orphans, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert check_missing_checkers() == []
        assert [each for each in run_checks() if each.id == "django_dlq.W120"] == []


def test_before_the_first_migrate_there_is_nothing_to_find(orphans, monkeypatch):
    monkeypatch.setattr(type(connection.introspection), "table_names", lambda self: [])

    assert check_missing_checkers(databases=["default"]) == []


def test_a_table_that_is_about_to_change_is_no_mistake(orphans, monkeypatch):
    def waiting():
        raise DatabaseError("no such column")

    monkeypatch.setattr(HalfMessage.objects._queryset_class, "waiting", lambda self: waiting())

    assert check_missing_checkers(databases=["default"]) == []
