from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import override_settings

from django_dlq.checks.producers import check_producers
from django_dlq.models import Producer

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def producer(name: str, **columns: Any) -> None:
    columns = {"callback_url": "https://billing.example/", "secret": "s", "topics": ["a"]} | columns
    Producer.objects.create(name=name, user=User.objects.create_user(name), **columns)


@override_settings(DLQ_CHECKBACK_HOSTS=["billing.example"])
def test_a_producer_that_would_never_be_asked_is_found() -> None:
    producer("good")
    producer("elsewhere", callback_url="https://other.example/")
    producer("unsigned", secret="")
    producer("gone", secret="", is_active=False)
    found = check_producers(databases=["default"])
    assert [(each.id, each.obj.name) for each in found] == [
        ("django_dlq.W130", "elsewhere"),
        ("django_dlq.W130", "unsigned"),
    ]
    assert "DLQ_CHECKBACK_HOSTS" in found[0].msg


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
