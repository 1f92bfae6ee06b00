import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse

from django_dlq.models import (
    DeadLetter,
    HalfMessage,
    InboxMessage,
    OutboxMessage,
    PublishedMessage,
    RelayLane,
    RelayProcess,
)
from tests.admin.factories import letter, person

pytestmark = [pytest.mark.django_db, pytest.mark.once]

MODELS = (DeadLetter, HalfMessage, InboxMessage, OutboxMessage, PublishedMessage, RelayLane, RelayProcess)


def url(model, page="changelist", *args):
    return reverse(f"admin:django_dlq_{model._meta.model_name}_{page}", args=args)


@pytest.mark.parametrize("model", MODELS)
def test_not_even_a_superuser_adds_changes_or_deletes(model, admin_client, rf, admin_user):
    assert admin_client.get(url(model, "add")).status_code == 403
    request = rf.get("/")
    request.user = admin_user
    page = admin.site.get_model_admin(model)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)
    assert "delete_selected" not in page.get_actions(request)


def test_a_letter_is_neither_deleted_nor_posted_to(admin_client):
    row = letter()
    assert admin_client.get(url(DeadLetter, "delete", row.pk)).status_code == 403
    assert admin_client.post(url(DeadLetter, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert admin_client.post(url(DeadLetter, "change", row.pk), {"state": "resolved"}).status_code == 405


@pytest.mark.parametrize("model", MODELS)
def test_a_page_takes_the_permission_to_view_it(model, client):
    user = person("replay", view=False)
    client.force_login(user)
    assert client.get(url(model)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename=f"view_{model._meta.model_name}"))
    assert client.get(url(model)).status_code == 200


def test_an_unknown_row_leads_back_to_the_index(admin_client):
    assert admin_client.get(url(DeadLetter, "change", 999)).status_code == 302


def test_a_single_row_takes_the_permission_to_view_it_too(client):
    client.force_login(person("replay", view=False))
    assert client.get(url(DeadLetter, "change", letter().pk)).status_code == 403
