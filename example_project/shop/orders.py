"""Take an order: the payment, the access to the course and the message to the warehouse, all or nothing."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from django_dlq import outbox
from django_dlq.brokers import brokers
from django_dlq.models import OutboxMessage, PublishedMessage
from example_project.shop.models import Course, CourseAccess, Order

TOPIC: str = getattr(settings, "SHOP_TOPIC", "orders")
PAID = "paid"
SECONDS_TO_DELIVER = 5.0

FAMILIES = (
    ("Mei Lin", "Lele", "8 Plum Street, Hangzhou"),
    ("Anna Berg", "Emil", "Lindenweg 3, Bremen"),
    ("Grace Okafor", "Tobi", "14 Palm Avenue, Lagos"),
    ("Sofia Rossi", "Luca", "Via Roma 21, Turin"),
    ("Kenji Sato", "Hana", "2-5 Sakura, Kyoto"),
)
"""Whose orders the control room places."""


def pay(order: Order) -> Order:
    """Save an order that has been paid for, with all that follows from it.

    Either all three are committed, or nothing: there is no order without its message, and no message without an order.
    """
    order.paid_at = timezone.now()
    with transaction.atomic():
        order.save()
        CourseAccess.objects.create(order=order)
        outbox.publish(
            TOPIC,
            {"order": order.pk, "course": order.course.slug},
            key=str(order.pk),
            message_key=order.message_key,
            tag=PAID,
        )
    return order


def pay_many(number: int) -> Sequence[Order]:
    """Place some orders of made-up families."""
    courses = list(Course.objects.all())
    with transaction.atomic():
        first = Order.objects.count()
        return [pay(_made_up(courses[count % len(courses)], count)) for count in range(first, first + number)]


def publish_unreadable() -> OutboxMessage:
    """Publish what no handler can read, as a faulty release of another team's service would."""
    with transaction.atomic():
        return outbox.publish(TOPIC, '{"order": 12', tag="partner")


def publish_expired() -> OutboxMessage:
    """Publish what is too late already when the relay sees it."""
    with transaction.atomic():
        return outbox.publish(TOPIC, {"offer": "half price, only this second"}, tag="offer", expires_in=timedelta(0))


def deliver_again(orders: Iterable[Order]) -> int:
    """Give the broker the orders' messages once more, byte for byte with the same ids; return how many there were.

    This is what a resend after a crash of the relay, or a rebalance before an offset is committed, looks like. Messages
    that were not sent yet are left out. Raises BrokerError if the broker does not confirm one.
    """
    keys = [order.message_key for order in orders]
    sent = {row.message_key: row for row in PublishedMessage.objects.filter(message_key__in=keys, letter_id=None)}
    records = [OutboxMessage(**row.message_columns()).record() for row in sent.values()]
    broker = brokers["default"]
    try:
        receipts = broker.send(records, SECONDS_TO_DELIVER)
    finally:
        broker.close()  # each request has a thread of its own, and would leave its client behind
    for receipt in receipts:
        if receipt.error is not None:
            raise receipt.error
    return len(records)


def _made_up(course: Course, count: int) -> Order:
    parent, child, address = FAMILIES[count % len(FAMILIES)]
    return Order(course=course, parent_name=parent, child_name=child, address=address)
