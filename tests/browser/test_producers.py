"""A person registers a service that is not Django, and gives it its secret."""

import os
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import expect

from django_dlq.models import Producer
from tests.admin.factories import person
from tests.browser.conftest import POLICY

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

PICTURES = os.environ.get("DLQ_PICTURES", "")


@pytest.fixture
def open_page(browser, live_server, client):
    user = person(name="ops")
    user.user_permissions.add(*Permission.objects.filter(codename__endswith="_producer"))
    client.force_login(user)
    contexts = []

    def strictly(route):
        response = route.fetch(max_redirects=0)
        route.fulfill(response=response, headers={**response.headers, "content-security-policy": POLICY})

    def make(**options):
        context = browser.new_context(base_url=live_server.url, **options)
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
        context.route(lambda url: "/admin/" in url and "/static/" not in url, strictly)
        contexts.append(context)
        return context.new_page()

    yield make
    for context in contexts:
        context.close()


def picture(page, name):
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_service_is_registered_and_its_secret_is_shown_once(open_page, scheme):
    user = User.objects.create_user("billing")
    page = open_page(color_scheme=scheme)
    page.goto("/admin/django_dlq/producer/add/")
    page.get_by_label("Name").fill("billing")
    page.get_by_label("User").fill(str(user.pk))
    page.get_by_label("Topics").fill("payments\nbilling.*")
    page.get_by_label("Callback URL").fill("https://billing.example/check")
    picture(page, f"add-{scheme}")
    page.get_by_role("button", name="Save", exact=True).click()
    picture(page, f"secret-{scheme}")
    page.get_by_role("button", name="Make the secret").click()
    row = Producer.objects.get()
    expect(page.get_by_text(row.secret, exact=True)).to_be_visible()
    picture(page, f"shown-{scheme}")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("DLQ_CHECKBACK_HOSTS")).to_be_visible()
    picture(page, f"change-{scheme}")
    page.get_by_role("link", name=re.compile("Secret")).click()
    assert row.secret not in page.content()
    page.goto("/admin/django_dlq/producer/")
    expect(page.get_by_role("link", name="billing", exact=True)).to_be_visible()
    picture(page, f"list-{scheme}")
    assert row.secret not in page.content()


def test_a_telephone_needs_no_sideways_scrolling(open_page):
    row = Producer.objects.create(
        name="b" * 100, user=User.objects.create_user("b"), topics=["x" * 200], callback_url="https://b.example/"
    )
    row.replace_secret()
    page = open_page(viewport={"width": 400, "height": 800})
    page.goto(f"/admin/django_dlq/producer/{row.pk}/secret/")
    page.get_by_role("button", name="Make a new secret").click()
    expect(page.get_by_text("The old one stays valid")).to_be_visible()
    page.wait_for_load_state()  # with its styles
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
