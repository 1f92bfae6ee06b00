"""The page for trying things out."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from django_dlq.exceptions import BrokerUnavailable
from django_dlq.testing.pytest_plugin import Dlq
from example_project.logistics_service import LogisticsServer
from example_project.shop import orders
from example_project.shop.models import Box, Order, RedPacket

pytestmark = pytest.mark.usefixtures("shelves")
CHANGES = {
    "shop:place-orders": {"number": "1"},
    "shop:switch-logistics": {"to_open": "no"},
    "shop:deliver-again": {"payment": "7f2c1e9e-0000-4000-8000-000000000000"},
    "shop:publish-unreadable": {},
    "shop:publish-expired": {},
}


def counted(client: Client) -> dict[str, int]:
    """Read the counters as a person does."""
    page = client.get("/control/live/").content.decode()
    return {name: int(n) for name, n in re.findall(r'class="figure (\w+)[^>]*><a [^>]*><strong>(\d+)', page)}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_takes_a_post(client: Client, name: str) -> None:
    assert client.get(reverse(name)).status_code == 405


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_takes_a_token(name: str, dlq: Dlq) -> None:
    assert Client(enforce_csrf_checks=True).post(reverse(name), CHANGES[name]).status_code == 403
    assert not dlq.messages


@pytest.mark.parametrize("number", [1, 100])
def test_orders_are_placed_by_hand_or_by_the_hundred(
    client: Client, dlq: Dlq, warehouse: LogisticsServer, number: int
) -> None:
    page = client.post(reverse("shop:place-orders"), {"number": number}, follow=True)
    assert f"{number} order" in page.content.decode()
    assert len(dlq.messages) == number
    dlq.drain()
    figures = counted(client)
    assert (figures["orders"], figures["boxes"], figures["packets"]) == (number, number, number)
    assert figures["outbox"] == figures["dead"] == 0


@pytest.mark.parametrize("number", ["0", "501", "-1", "many", ""])
def test_no_other_number_of_orders_is_placed(client: Client, dlq: Dlq, number: str) -> None:
    assert client.post(reverse("shop:place-orders"), {"number": number}).status_code == 400
    assert not Order.objects.exists()


def test_the_switch_closes_and_opens_the_logistics_service(client: Client, warehouse: LogisticsServer) -> None:
    assert "It takes every box." in client.get("/control/").content.decode()
    page = client.post(reverse("shop:switch-logistics"), {"to_open": "no"}, follow=True).content.decode()
    assert "It answers 503 to every box." in page
    assert not warehouse.warehouse.open
    client.post(reverse("shop:switch-logistics"), {"to_open": "yes"})
    assert warehouse.warehouse.open
    assert client.post(reverse("shop:switch-logistics"), {"to_open": "perhaps"}).status_code == 400


def test_the_page_says_so_if_the_logistics_service_is_not_there(client: Client, warehouse: LogisticsServer) -> None:
    warehouse.socket.close()
    page = client.post(reverse("shop:switch-logistics"), {"to_open": "yes"}, follow=True).content.decode()
    assert "the logistics service cannot be reached" in page


def test_a_message_is_delivered_twice_and_handled_once(client: Client, dlq: Dlq, warehouse: LogisticsServer) -> None:
    (order,) = orders.pay_many(1)
    again = {"payment": order.payment}
    page = client.post(reverse("shop:deliver-again"), again, follow=True).content.decode()
    assert "It was not sent yet" in page
    dlq.drain()
    page = client.post(reverse("shop:deliver-again"), again, follow=True).content.decode()
    assert "1 message was delivered again" in page
    assert not dlq.drain().handled
    assert (Box.objects.count(), RedPacket.objects.count()) == (1, 1)


def test_an_unknown_payment_is_not_delivered(client: Client, dlq: Dlq) -> None:
    assert client.post(reverse("shop:deliver-again"), CHANGES["shop:deliver-again"]).status_code == 400
    assert client.post(reverse("shop:deliver-again"), {"payment": "x"}).status_code == 400


def test_the_page_says_so_if_the_broker_is_not_there(
    client: Client, dlq: Dlq, warehouse: LogisticsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (order,) = orders.pay_many(1)
    dlq.drain()

    def away(_: object) -> int:
        raise BrokerUnavailable("all brokers are down")

    monkeypatch.setattr(orders, "deliver_again", away)
    page = client.post(reverse("shop:deliver-again"), {"payment": order.payment}, follow=True).content.decode()
    assert "The broker did not take it: all brokers are down" in page


def test_broken_messages_become_dead_letters(client: Client, dlq: Dlq, warehouse: LogisticsServer) -> None:
    client.post(reverse("shop:publish-unreadable"))
    client.post(reverse("shop:publish-expired"))
    dlq.drain()
    assert counted(client)["dead"] == 2


def test_each_counter_and_each_letter_leads_to_the_admin(
    admin_client: Client, dlq: Dlq, warehouse: LogisticsServer
) -> None:
    warehouse.warehouse.open = False
    orders.pay_many(1)
    dlq.drain(retries="now")
    page = admin_client.get("/control/").content.decode()
    links = set(re.findall(r'href="(/admin/[^"]+)"', page))
    assert len(links) >= 9
    for link in links:
        assert admin_client.get(link).status_code == 200, link


def test_the_page_says_how_long_a_box_is_tried(client: Client, warehouse: LogisticsServer) -> None:
    page = client.get("/control/").content.decode()
    assert "after 2, 5 and 10 seconds, so its message is a dead letter 17 seconds later" in page


def test_the_part_that_changes_is_part_of_the_page_and_holds_no_token(
    client: Client, dlq: Dlq, warehouse: LogisticsServer
) -> None:
    orders.pay_many(3)
    part = client.get("/control/live/").content.decode()
    assert part in client.get("/control/").content.decode()
    assert "csrfmiddlewaretoken" not in part
