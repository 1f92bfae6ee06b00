import pytest
from django.contrib.auth.models import Permission

from django_dlq.models import Suspect
from tests.admin.factories import person

pytestmark = [pytest.mark.django_db, pytest.mark.once]

LIST = "/admin/django_dlq/suspect/"


def suspect(number, deaths):
    return Suspect.objects.create(
        group="shipping",
        topic="orders",
        partition=3,
        offset=number,
        message_id=f"id-{number}",
        message_key=f"order-{number} <b>",
        handler="shop.handlers.pack",
        owner="host:1",
        deaths=deaths,
    )


def shown(client, path=""):
    response = client.get(LIST + path)
    assert response.status_code == 200
    return response.content.decode()


def test_the_list_tells_of_each_how_many_processes_have_died_with_it_those_with_the_most_first(admin_client):
    suspect(1, deaths=1)
    suspect(2, deaths=2)
    page = shown(admin_client)
    assert page.index("order-2 &lt;b&gt;") < page.index("order-1 &lt;b&gt;")
    assert "2 of 3" in page
    assert "alone in hand" in page
    assert "1 of 3" in page
    assert "in hand with others" in page
    assert "partition 3, offset 1" in page


def test_a_suspect_has_a_page_with_its_handler_and_who_has_it(admin_client):
    page = shown(admin_client, f"{suspect(1, deaths=3).pk}/change/")
    assert "shop.handlers.pack" in page
    assert "host:1" in page
    assert "id-1" in page


def test_where_nothing_is_suspected_the_list_says_so(admin_client):
    assert "No message is suspected" in shown(admin_client)


def test_it_takes_the_permission_to_view_them(client):
    user = person("replay")
    client.force_login(user)
    assert client.get(LIST).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_suspect"))
    assert client.get(LIST).status_code == 200
