"""Who may publish from outside, where to, and with which secrets."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import ProtectedError

from django_dlq.models import Producer

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def producer(**columns: Any) -> Producer:
    columns = {"name": "billing", "topics": ["payments", "billing.*"], "callback_url": "https://a.example/"} | columns
    return Producer(user=User.objects.create_user(f"user-{User.objects.count()}"), **columns)


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [("payments", True), ("billing.refunds", True), ("billing.", True), ("billing", False), ("payments2", False)],
)
def test_a_topic_is_its_own_or_begins_like_one(topic: str, allowed: bool) -> None:
    assert producer().may_publish(topic) is allowed


def test_an_inactive_one_may_publish_nowhere() -> None:
    assert not producer(is_active=False).may_publish("payments")


@pytest.mark.parametrize("topics", [[], None, "payments", {"payments": 1}, [""], [5], ["a*b"], ["**"], ["x" * 256]])
def test_what_is_no_list_of_topics_is_refused(topics: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        producer(topics=topics).full_clean()
    assert list(refused.value.message_dict) == ["topics"]


@pytest.mark.parametrize("url", ["a.example", "ftp://a.example/", "https://user@a.example/", "https://a.example/é"])
def test_what_cannot_be_called_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        producer(callback_url=url).full_clean()
    assert list(refused.value.message_dict) == ["callback_url"]


def test_what_can_be_called_is_accepted() -> None:
    producer(callback_url="http://10.0.0.1:8080/check?x=1", topics=["*"]).full_clean()


def test_while_a_secret_is_replaced_two_are_valid() -> None:
    row = producer()
    row.save()
    assert row.secrets == []
    revealed = [row.replace_secret().reveal() for _ in range(3)]
    row.refresh_from_db()
    assert [secret.reveal() for secret in row.secrets] == [revealed[2], revealed[1]]
    row.forget_old_secret()
    row.refresh_from_db()
    assert [secret.reveal() for secret in row.secrets] == [revealed[2]]


def test_the_user_of_a_producer_cannot_be_deleted_by_accident() -> None:
    row = producer()
    row.save()
    with pytest.raises(ProtectedError):
        row.user.delete()
    assert str(row) == "billing"
