"""Producers in the admin: their secrets are shown once, and nowhere else."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings

from django_dlq.models import Producer
from tests.admin.factories import person

pytestmark = [pytest.mark.django_db, pytest.mark.once]

LIST = "/admin/django_dlq/producer/"
PRESENT = re.compile(r'name="present" value="(\w+)"')


def may(*names: str) -> User:
    user = person(name="ops", view=False)
    user.user_permissions.set(Permission.objects.filter(codename__in=[f"{name}_producer" for name in names]))
    return user


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(may("view", "add", "change", "delete"))
    return client


@pytest.fixture
def producer() -> Producer:
    row = Producer(name="billing", user=User.objects.create_user("billing"), topics=["payments", "billing.*"])
    row.callback_url = "https://billing.example/check"
    row.secret, row.old_secret = "hunter-new", "hunter-old"
    row.save()
    return row


def fields(user: User, **changes: Any) -> dict[str, Any]:
    typed = {"name": "billing", "user": user.pk, "topics": " payments \n\nbilling.*\r\npayments", "is_active": "on"}
    return {**typed, "callback_url": "https://billing.example/check", **changes}


def secret_url(row: Producer) -> str:
    return f"{LIST}{row.pk}/secret/"


def press(client: Client, row: Producer, **buttons: str) -> Any:
    found = PRESENT.search(client.get(secret_url(row)).content.decode())
    assert found
    return client.post(secret_url(row), {"present": found[1], **buttons})


def test_a_producer_is_added_and_the_next_page_makes_its_secret(staff: Client) -> None:
    user = User.objects.create_user("billing")
    page = staff.post(f"{LIST}add/", fields(user), follow=True)
    row = Producer.objects.get()
    assert (row.topics, row.secrets) == (["payments", "billing.*"], [])
    assert page.request["PATH_INFO"] == secret_url(row)
    assert "Make the secret" in page.content.decode()


@pytest.mark.parametrize(
    "changes",
    [{"topics": ""}, {"topics": "a*b"}, {"callback_url": "ftp://a/"}, {"callback_url": ""}, {"name": ""}],
)
def test_what_makes_no_producer_is_refused_beside_its_field(staff: Client, changes: dict[str, str]) -> None:
    page = staff.post(f"{LIST}add/", fields(User.objects.create_user("billing"), **changes))
    assert page.status_code == 200
    assert "errorlist" in page.content.decode()
    assert not Producer.objects.exists()


def test_a_change_keeps_the_name_and_the_secrets(staff: Client, producer: Producer) -> None:
    url = f"{LIST}{producer.pk}/change/"
    assert "payments\nbilling.*" in staff.get(url).content.decode()
    staff.post(url, fields(producer.user, name="other", topics="refunds", secret="mine"))
    producer.refresh_from_db()
    assert (producer.name, producer.topics, producer.secret) == ("billing", ["refunds"], "hunter-new")


def test_a_new_secret_is_shown_once_and_stored(staff: Client, producer: Producer) -> None:
    page = press(staff, producer)
    producer.refresh_from_db()
    assert producer.secret in page.content.decode()
    assert producer.old_secret == "hunter-new"
    assert "no-store" in page.headers["Cache-Control"]
    pages = (LIST, f"{LIST}{producer.pk}/change/", f"{LIST}{producer.pk}/history/", secret_url(producer))
    everywhere = [staff.get(url).content.decode() for url in pages]
    assert not [text for text in everywhere if producer.secret in text or "hunter" in text]
    assert LogEntry.objects.get().get_change_message() == "Made a new secret."


def test_a_page_that_is_reloaded_makes_no_other_secret(staff: Client, producer: Producer) -> None:
    present = PRESENT.search(staff.get(secret_url(producer)).content.decode())
    assert present
    for _ in range(2):
        page = staff.post(secret_url(producer), {"present": present[1]}, follow=True)
    producer.refresh_from_db()
    assert producer.old_secret == "hunter-new"
    assert "Nothing was done." in page.content.decode()
    assert producer.secret not in page.content.decode()


def test_the_old_secret_is_forgotten_when_the_service_has_the_new_one(staff: Client, producer: Producer) -> None:
    press(staff, producer, forget="yes")
    producer.refresh_from_db()
    assert (producer.secret, producer.old_secret) == ("hunter-new", "")


def test_nothing_is_made_by_looking(staff: Client, producer: Producer) -> None:
    staff.get(secret_url(producer))
    producer.refresh_from_db()
    assert producer.secret == "hunter-new"


@pytest.mark.parametrize("names", [(), ("view",), ("add",), ("view", "delete")])
def test_a_secret_takes_the_permission_to_change(client: Client, producer: Producer, names: tuple[str, ...]) -> None:
    client.force_login(may(*names))
    assert client.get(secret_url(producer)).status_code == 403
    assert client.post(secret_url(producer), {"present": "x"}).status_code == 403


def test_who_may_only_look_finds_no_way_to_the_secret(client: Client, producer: Producer) -> None:
    client.force_login(may("view"))
    page = client.get(f"{LIST}{producer.pk}/change/").content.decode()
    assert "two: the new one" in page
    assert secret_url(producer) not in page


def test_a_producer_is_not_deleted(staff: Client, producer: Producer) -> None:
    assert staff.post(f"{LIST}{producer.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Producer.objects.exists()


def test_a_producer_that_is_not_there_has_no_secret(staff: Client) -> None:
    assert staff.get(f"{LIST}77/secret/").status_code == 403


def test_the_list_says_why_one_is_not_asked(staff: Client, producer: Producer) -> None:
    assert "is not one of DLQ_CHECKBACK_HOSTS" in staff.get(LIST).content.decode()
    with override_settings(DLQ_CHECKBACK_HOSTS=["billing.example"]):
        assert "DLQ_CHECKBACK_HOSTS" not in staff.get(LIST).content.decode()


def test_names_are_shown_as_text(staff: Client, producer: Producer) -> None:
    Producer.objects.update(name="<script>x", topics=["<b>*"])
    for url in (LIST, f"{LIST}{producer.pk}/change/", secret_url(producer)):
        page = staff.get(url).content.decode()
        assert "<script>x" not in page
        assert "<b>*" not in page
