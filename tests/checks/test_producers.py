from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import override_settings

from django_dlq.checks.producers import check_producers
from django_dlq.models import Producer
from tests.checks.found import found

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def producer(name: str, **columns: Any) -> None:
    columns = {"callback_url": "https://billing.example/", "secret": "s", "topics": ["a"]} | columns
    Producer.objects.create(name=name, user=User.objects.create_user(name), **columns)


def test_a_request_must_end_before_it_counts_as_hanging(settings: Any) -> None:
    settings.DLQ_CHECKBACK_TIMEOUT = timedelta(seconds=5)
    assert "E134" not in found()
    settings.DLQ_CHECKBACK_TIMEOUT = timedelta(seconds=4)
    assert found() == ["E134"]
    settings.DLQ_CHECKBACK_TIMEOUT = 4
    assert "E134" not in found()


@override_settings(DLQ_CHECKBACK_HOSTS=["billing.example"])
def test_a_producer_that_would_never_be_asked_is_found() -> None:
    producer("good")
    producer("elsewhere", callback_url="https://other.example/")
    producer("unsigned", secret="")
    producer("gone", secret="", is_active=False)
    warned = check_producers(databases=["default"])
    assert [(each.id, each.obj.name) for each in warned] == [
        ("django_dlq.W130", "elsewhere"),
        ("django_dlq.W130", "unsigned"),
    ]
    assert "DLQ_CHECKBACK_HOSTS" in warned[0].msg


def test_the_database_is_looked_at_only_if_it_may_be(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert check_producers() == []


def test_a_table_that_is_about_to_change_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise DatabaseError("no such column")

    monkeypatch.setattr(Producer.objects, "using", fails)
    assert check_producers(databases=["default"]) == []


def test_before_the_table_is_there_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    producer("unsigned", secret="")
    monkeypatch.setattr(Producer._meta, "db_table", "not_there_yet")
    assert check_producers(databases=["default"]) == []


@override_settings(DLQ_CHECKBACK_HOSTS="billing.example")
def test_a_wrong_setting_is_left_to_its_own_check() -> None:
    producer("good")
    assert check_producers(databases=["default"]) == []
