"""The pages that a parent sees."""

import pytest
from django.test import Client
from django.urls import reverse

from django_dlq.testing.pytest_plugin import Dlq
from example_project.logistics_service import LogisticsServer
from example_project.shop.models import Order

pytestmark = pytest.mark.usefixtures("shelves")
FAMILY = {"parent_name": "Mei Lin", "child_name": "Lele", "address": "8 Plum Street"}


def test_the_shop_shows_every_course_with_a_way_to_buy_it(client: Client) -> None:
    page = client.get("/").content.decode()
    for slug in ("letters", "numbers", "nature"):
        assert reverse("shop:buy", args=[slug]) in page


def test_a_parent_buys_a_course_and_follows_the_order(client: Client, dlq: Dlq, warehouse: LogisticsServer) -> None:
    page = client.post("/courses/numbers/", FAMILY, follow=True).content.decode()
    assert "Thank you, Mei Lin!" in page
    assert "Being packed." in page
    dlq.drain()
    order = Order.objects.get()
    page = client.get(reverse("shop:order", args=[order.payment])).content.decode()
    assert order.box.tracking in page
    assert "€1.00 is in your wallet." in page


def test_a_parent_hears_of_a_delay_that_the_order_is_safe(client: Client, dlq: Dlq, warehouse: LogisticsServer) -> None:
    warehouse.warehouse.open = False
    client.post("/courses/numbers/", FAMILY)
    dlq.drain()
    page = client.get(reverse("shop:order-live", args=[Order.objects.get().payment])).content.decode()
    assert "Your order is safe" in page


@pytest.mark.parametrize("missing", list(FAMILY))
def test_an_incomplete_form_costs_nothing(client: Client, dlq: Dlq, missing: str) -> None:
    page = client.post("/courses/numbers/", {**FAMILY, missing: " "})
    assert page.status_code == 200
    assert "This field is required." in page.content.decode()
    assert not Order.objects.exists()
    assert not dlq.messages


def test_what_a_parent_types_is_shown_as_text(client: Client, dlq: Dlq) -> None:
    page = client.post("/courses/numbers/", {**FAMILY, "parent_name": "<script>x</script>"}, follow=True)
    assert "<script>x" not in page.content.decode()
    assert "&lt;script&gt;x" in page.content.decode()


@pytest.mark.parametrize("path", ["/courses/none/", "/orders/7f2c1e9e-0000-4000-8000-000000000000/"])
def test_what_is_not_there_is_not_found(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404
