"""Have an order paid by the bank, whose work no transaction of ours can hold.

The message is prepared before the bank is asked, and committed after it was. Whoever dies in between leaves a half
message behind, and the checker asks the bank. RocketMQ calls it a transactional message.
"""

import os

from django.db import transaction
from django.utils import timezone

from django_dlq import outbox
from django_dlq.message import ReceivedMessage
from example_project.shop import bank
from example_project.shop.models import CourseAccess, Order
from example_project.shop.orders import PAID, TOPIC

CHECKER = "shop.payments"
CRASHED = 70
"""The exit status of a shop that died on purpose."""


def charge(order: Order, *, crash: bool = False) -> Order:
    """Save an order and have the bank charge it; with `crash` this process dies as soon as the money is taken.

    Raises bank.Cancelled if the checker was faster and has called the payment off.
    """
    order.save()
    half = outbox.prepare(
        TOPIC,
        {"order": order.pk, "course": order.course.slug},
        checker=CHECKER,
        key=str(order.pk),
        message_key=order.message_key,
        tag=PAID,
    )
    bank.charge(order.payment, order.course.price)
    if crash:
        os._exit(CRASHED)  # as kill -9 would: nothing after this line happens, in no thread of the process
    with transaction.atomic():
        complete(order)
        half.commit()
    return order


@outbox.checker(CHECKER)
def was_charged(message: ReceivedMessage) -> outbox.Verdict:
    """Say what became of a payment. To be sure that it is not charged later, a payment that was not is called off.

    What the shop would have done after charging is done here, and may be done twice.
    """
    order = Order.objects.get(pk=message.json()["order"])
    if bank.cancel(order.payment):
        return outbox.Verdict.ROLLBACK
    complete(order)
    return outbox.Verdict.COMMIT


def complete(order: Order) -> None:
    """Write down that an order is paid, and open its course."""
    Order.objects.filter(pk=order.pk, paid_at=None).update(paid_at=timezone.now())
    CourseAccess.objects.get_or_create(order=order)
