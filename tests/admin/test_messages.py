from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_dlq.models import InboxMessage, OutboxMessage, PublishedMessage

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def message(key, **columns):
    return {
        "topic": "orders",
        "message_id": f"id-{key}",
        "message_key": key,
        "body": b'{"password":"hunter-2"}',
    } | columns


def page(client, model, **query):
    return client.get(f"/admin/django_dlq/{model._meta.model_name}/", query).content.decode()


def test_the_outbox_says_when_a_message_is_due_and_expires(admin_client):
    later = timezone.now() + timedelta(hours=3, minutes=1)
    OutboxMessage.objects.create(**message("order-1", due_at=later, expires_at=None, priority=5))
    listed = page(admin_client, OutboxMessage)
    assert "order-1" in listed
    assert "in 3\xa0hours" in listed
    assert "never" in listed


def test_an_empty_outbox_says_that_everything_has_been_sent(admin_client):
    assert "everything has been sent" in page(admin_client, OutboxMessage)


def test_no_part_of_a_long_outbox_is_read_without_a_bound(admin_client):
    OutboxMessage.objects.bulk_create(OutboxMessage(**message(f"order-{number}")) for number in range(51))
    with CaptureQueriesContext(connection) as captured:
        assert "Show counts" not in page(admin_client, OutboxMessage)
    texts = [query["sql"].replace("`", '"') for query in captured]
    reads = [sql for sql in texts if 'FROM "django_dlq_outboxmessage"' in sql]
    assert len(reads) >= 5
    unbounded = [sql for sql in reads if "LIMIT" not in sql or "DISTINCT" in sql or '"priority" DESC' in sql]
    assert not unbounded


def test_the_outbox_is_filtered_by_what_its_first_rows_have(admin_client, monkeypatch):
    monkeypatch.setattr("django_dlq.admin.filters.LOOKED_AT", 1)
    OutboxMessage.objects.create(**message("order-1"))
    OutboxMessage.objects.create(**message("order-2", topic="late", priority=5))
    listed = page(admin_client, OutboxMessage)
    assert "?topic=orders" in listed
    assert "?topic=late" not in listed
    chosen = page(admin_client, OutboxMessage, topic="late", priority="5")
    assert "order-2" in chosen
    assert "order-1" not in chosen
    assert chosen.count('class="selected"') == 3  # late, 5, and any broker
    assert admin_client.get("/admin/django_dlq/outboxmessage/?priority=abc").status_code == 302


def test_the_history_says_where_the_broker_has_a_message(admin_client):
    now = timezone.now()
    columns = message("order-1", outbox_id=1, created_at=now, partition=3, offset=42)
    row = PublishedMessage.objects.create(**columns)
    assert "3 / 42" in page(admin_client, PublishedMessage)
    shown = admin_client.get(f"/admin/django_dlq/publishedmessage/{row.pk}/change/").content.decode()
    assert "3 / 42" in shown
    assert "hunter-2" in shown


@pytest.mark.parametrize("model", [OutboxMessage, PublishedMessage])
def test_a_body_is_masked_for_who_may_not_unmask(model, client, django_user_model):
    from django.contrib.auth.models import Permission

    extra = {"outbox_id": 1, "created_at": timezone.now()} if model is PublishedMessage else {}
    row = model.objects.create(**message("order-1", **extra))
    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename=f"view_{model._meta.model_name}"))
    client.force_login(user)
    shown = client.get(f"/admin/django_dlq/{model._meta.model_name}/{row.pk}/change/").content.decode()
    assert "•••" in shown
    assert "hunter-2" not in shown


def test_the_inbox_says_which_group_handled_a_message(admin_client):
    row = InboxMessage.objects.create(group="shipping", **{k: v for k, v in message("order-1").items() if k != "body"})
    assert "shipping" in page(admin_client, InboxMessage, q="order-1")
    assert "shipping" not in page(admin_client, InboxMessage, q="order-2").partition("result_list")[2]
    assert "shipping" in admin_client.get(f"/admin/django_dlq/inboxmessage/{row.pk}/change/").content.decode()


def test_the_inbox_says_why_a_message_was_not_simply_handled(admin_client):
    columns = {k: v for k, v in message("order-1").items() if k != "body"}
    row = InboxMessage.objects.create(group="shipping", outcome="skipped", reason="sent <before>", **columns)
    for shown in (
        page(admin_client, InboxMessage, q="order-1"),
        admin_client.get(f"/admin/django_dlq/inboxmessage/{row.pk}/change/").content.decode(),
    ):
        assert "skipped" in shown
        assert "sent &lt;before&gt;" in shown


def test_the_inbox_is_filtered_by_outcome(admin_client):
    for key, outcome in (("order-1", "handled"), ("order-2", "skipped")):
        columns = {name: value for name, value in message(key).items() if name != "body"}
        InboxMessage.objects.create(group="shipping", outcome=outcome, **columns)
    listed = page(admin_client, InboxMessage, outcome__exact="skipped").partition("result_list")[2]
    assert "order-2" in listed
    assert "order-1" not in listed
    assert "?outcome__exact=compensated" in page(admin_client, InboxMessage)


@pytest.mark.parametrize("model", [OutboxMessage, PublishedMessage, InboxMessage])
def test_a_list_takes_as_many_queries_for_fifty_rows_as_for_five(model, admin_client, django_assert_num_queries):
    def write(count, start):
        for number in range(start, start + count):
            columns = message(f"order-{number}")
            if model is PublishedMessage:
                columns |= {"outbox_id": number, "created_at": timezone.now()}
            if model is InboxMessage:
                columns = {k: v for k, v in columns.items() if k != "body"} | {"group": "shipping"}
            model.objects.create(**columns)

    write(5, 0)
    page(admin_client, model)
    with CaptureQueriesContext(connection) as few:
        page(admin_client, model)
    write(45, 5)
    with django_assert_num_queries(len(few)):
        page(admin_client, model)


def test_a_long_history_is_listed_from_its_newest_end_and_says_so(admin_client, monkeypatch):
    monkeypatch.setattr("django_dlq.admin.read_only.MOST_LISTED", 2)
    for number in range(3):
        columns = message(f"order-{number}", outbox_id=number, created_at=timezone.now())
        PublishedMessage.objects.create(**columns)
    listed = page(admin_client, PublishedMessage)
    assert "Only 2 rows are listed" in listed
    assert "order-2" in listed
