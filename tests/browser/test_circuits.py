import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import expect

from django_dlq import inbox
from django_dlq.models import Circuit
from tests.admin.factories import letter
from tests.outages import NAME, circuit, open_by_itself

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

LIST = "/admin/django_dlq/dependency/"
MAY = ("view_dependency", "open_dependency", "close_dependency", "replay_deadletter")


@pytest.fixture
def page(open_context, registry):
    inbox.handler("orders", group="shipping", depends_on=NAME)(print)
    page = open_context(viewport={"width": 400, "height": 800}).new_page()
    User.objects.get().user_permissions.add(*Permission.objects.filter(codename__in=MAY))
    return page


def test_an_operator_opens_a_circuit_and_closes_it_again(page):
    page.goto(LIST)
    page.get_by_role("link", name="Open a circuit…").click()
    page.get_by_label("Reason").fill("they migrate")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_text("The circuit of logistics is open.")).to_be_visible()
    assert circuit().state == Circuit.OPEN

    page.locator("#result_list").get_by_text(NAME, exact=True).click()
    page.get_by_role("button", name="Close the circuit…").click()
    page.get_by_label("Reason").fill("they are done")
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.get_by_text("The circuit of logistics is closed.")).to_be_visible()


def test_an_operator_replays_what_died_and_a_telephone_needs_no_sideways_scrolling(page):
    open_by_itself(error_class="shop.LogisticsDown", error_message="x" * 300)
    letter(dependency=NAME)
    page.goto(f"{LIST}{NAME}/change/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.get_by_role("button", name="Replay them…").click()
    expect(page.get_by_label("Reason")).to_be_visible()
    page.wait_for_load_state()  # with its styles
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.get_by_label("Reason").fill("they are back")
    page.get_by_role("button", name="Replay", exact=True).click()
    expect(page.get_by_text("They are being replayed.")).to_be_visible()
