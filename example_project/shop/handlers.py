"""What happens after a payment. django_dlq finds this module by its name and runs each group in its own process."""

from decimal import Decimal

from django_dlq import inbox
from django_dlq.message import ReceivedMessage
from example_project.shop import logistics, payments  # noqa: F401  # payments: so that its checker is found
from example_project.shop.models import Box, Order, RedPacket
from example_project.shop.orders import PAID, TOPIC

BONUS = Decimal("1.00")


@inbox.handler(TOPIC, group="shipping")
def ship(message: ReceivedMessage) -> None:
    """Have the box sent. While the logistics service is down this raises, is tried again, and becomes a dead letter."""
    order = Order.objects.select_related("course").get(pk=message.json()["order"])
    Box.objects.create(order=order, tracking=logistics.send_box(order))


@inbox.handler(TOPIC, group="red-packets", tags=[PAID])
def send_red_packet(message: ReceivedMessage) -> None:
    """Send the bonus of a payment.

    The inbox row that says "this payment was handled" and the red packet are committed together or not at all, so the
    same message delivered again finds the inbox row and does nothing. The unique payment of RedPacket is the second
    lock: it would hold even if somebody published the payment under another message key.
    """
    order = Order.objects.get(pk=message.json()["order"])
    RedPacket.objects.create(order=order, payment=order.payment, amount=BONUS)
