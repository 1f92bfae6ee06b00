"""What follows a payment."""

import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction

from django_dlq import deadletters, inbox, outbox
from django_dlq.message import ReceivedMessage, Record
from django_dlq.models import DeadLetter, InboxMessage, Source, State
from django_dlq.testing.pytest_plugin import Dlq
from example_project.logistics_service import LogisticsServer, shipped
from example_project.shop import logistics, orders
from example_project.shop.handlers import send_red_packet, ship
from example_project.shop.models import Box, Course, CourseAccess, Order, RedPacket

pytestmark = pytest.mark.usefixtures("shelves")


def paid_order() -> Order:
    course = Course.objects.get(slug="letters")
    return orders.pay(Order(course=course, parent_name="Mei Lin", child_name="Lele", address="8 Plum Street"))


def crash_after(act: Callable[[], object]) -> None:
    with transaction.atomic():
        act()
        raise ZeroDivisionError


def close(warehouse: LogisticsServer) -> None:
    warehouse.warehouse.open = False


def test_a_payment_gives_access_and_a_message_together(dlq: Dlq) -> None:
    order = paid_order()
    assert CourseAccess.objects.get().order == order
    (message,) = dlq.messages
    assert (message.key, message.message_key, message.tag) == (str(order.pk), order.message_key, "paid")
    assert message.json() == {"order": order.pk, "course": "letters"}


def test_a_payment_that_is_rolled_back_leaves_nothing(dlq: Dlq) -> None:
    with pytest.raises(ZeroDivisionError):
        crash_after(paid_order)
    assert not Order.objects.exists()
    assert not CourseAccess.objects.exists()
    assert not dlq.messages


def test_a_paid_order_leads_to_one_box_and_one_red_packet(dlq: Dlq, warehouse: LogisticsServer) -> None:
    order = paid_order()
    assert dlq.drain().handled == 2
    assert Box.objects.get().order == order
    assert RedPacket.objects.get().payment == order.payment
    assert shipped(warehouse.warehouse.log) == [str(order.pk)]


def test_a_message_delivered_again_has_no_effect(dlq: Dlq, warehouse: LogisticsServer) -> None:
    order = paid_order()
    dlq.drain()
    assert orders.deliver_again([order, order]) == 1
    before = len(warehouse.warehouse.log.read_text())
    drained = dlq.drain()
    assert (drained.handled, drained.letters) == (0, ())
    assert (Box.objects.count(), RedPacket.objects.count()) == (1, 1)
    assert len(warehouse.warehouse.log.read_text()) == before  # it was not even asked


def test_a_message_that_was_not_sent_yet_cannot_be_delivered_again(dlq: Dlq) -> None:
    assert orders.deliver_again([paid_order()]) == 0


def test_no_second_red_packet_is_possible_for_a_payment_under_another_message_key(
    dlq: Dlq, warehouse: LogisticsServer
) -> None:
    order = paid_order()
    dlq.drain()
    with transaction.atomic():
        outbox.publish(orders.TOPIC, {"order": order.pk}, message_key="the same payment, another name", tag="paid")
    dlq.drain(retries="now")
    assert RedPacket.objects.count() == 1
    assert DeadLetter.objects.get(group="red-packets").error_class == "django.db.utils.IntegrityError"


def test_the_red_packet_and_its_inbox_row_are_written_together_or_not_at_all(shelves: None) -> None:
    order = paid_order()
    record = Record(topic=orders.TOPIC, body=b'{"order": %d}' % order.pk)
    message = ReceivedMessage(record=record, message_id="1", message_key="1", tag="paid", group="red-packets")

    with pytest.raises(ZeroDivisionError):
        crash_after(lambda: inbox.handle_once(message, "red-packets", send_red_packet))
    assert not RedPacket.objects.exists()
    assert not InboxMessage.objects.exists()
    assert inbox.handle_once(message, "red-packets", send_red_packet)
    assert not inbox.handle_once(message, "red-packets", send_red_packet)
    assert RedPacket.objects.count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        send_red_packet(message)


def test_a_box_is_shipped_once_though_the_handler_crashed_after_asking(dlq: Dlq, warehouse: LogisticsServer) -> None:
    order = paid_order()
    with pytest.raises(ZeroDivisionError):
        crash_after(lambda: ship(dlq.messages[0]))
    assert not Box.objects.exists()
    dlq.drain()
    assert Box.objects.get().order == order
    assert shipped(warehouse.warehouse.log) == [str(order.pk)]


def test_an_outage_of_logistics_keeps_no_red_packet_and_loses_no_box(dlq: Dlq, warehouse: LogisticsServer) -> None:
    close(warehouse)
    order = paid_order()
    (letter,) = dlq.drain().letters
    assert (letter.state, letter.group, letter.message_key) == (State.RETRYING, "shipping", order.message_key)
    assert RedPacket.objects.count() == 1
    (letter,) = dlq.drain(retries="now").letters
    assert (letter.state, letter.attempts) == (State.DEAD, 4)
    assert "503" in letter.error_message
    logistics.switch(to_open=True)
    deadletters.replay(letter, actor="test")
    assert not dlq.drain().letters
    assert shipped(warehouse.warehouse.log) == [str(order.pk)]
    assert RedPacket.objects.count() == 1  # the replay was for the group that failed


def test_a_short_outage_needs_no_person(dlq: Dlq, warehouse: LogisticsServer) -> None:
    close(warehouse)
    paid_order()
    assert len(dlq.drain().letters) == 1
    logistics.switch(to_open=True)
    assert not dlq.drain(retries="now").letters
    assert Box.objects.count() == 1


def test_a_service_that_is_not_there_is_an_outage_too(dlq: Dlq, warehouse: LogisticsServer) -> None:
    warehouse.socket.close()
    assert not logistics.is_open()
    paid_order()
    (letter,) = dlq.drain().letters
    assert "cannot be reached" in letter.error_message


def test_an_unreadable_message_is_dead_at_once_in_one_group(dlq: Dlq, warehouse: LogisticsServer) -> None:
    orders.publish_unreadable()
    (letter,) = dlq.drain().letters
    assert (letter.state, letter.attempts, letter.group) == (State.DEAD, 1, "shipping")
    assert letter.error_class == "django_dlq.exceptions.UnreadableBody"


def test_an_expired_message_is_dead_and_not_sent(dlq: Dlq) -> None:
    orders.publish_expired()
    (letter,) = dlq.drain().letters
    assert (letter.state, letter.source) == (State.DEAD, Source.RELAY)


def test_the_service_remembers_its_boxes_when_it_is_started_again(warehouse: LogisticsServer) -> None:
    service = warehouse.warehouse
    assert service.pack("17")[0] == 201
    again = type(service)(service.log)
    assert again.pack("17") == (200, {"tracking": "LG00000017"})
    assert shipped(service.log) == ["17"]


def test_the_service_knows_no_other_pages(warehouse: LogisticsServer) -> None:
    address = f"http://127.0.0.1:{warehouse.server_address[1]}/elsewhere"
    for method in ("GET", "PUT"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(urllib.request.Request(address, method=method))
