"""What the control room counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from django_dlq.models import DeadLetter, OutboxMessage, State
from example_project.shop.models import Box, Order, RedPacket

LETTERS = {
    State.RETRYING: gettext_noop("waiting for a retry"),
    State.DEAD: gettext_noop("dead letters"),
    State.REPLAYING: gettext_noop("being replayed"),
    State.RESOLVED: gettext_noop("resolved letters"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number, what it counts, and where to see it all."""

    name: str
    label: str
    count: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One of the latest orders, with what became of its box and its red packets."""

    order: Order
    packets: int
    letter: DeadLetter | None


def figures() -> list[Figure]:
    """Count everything."""
    letters = dict(DeadLetter.objects.values_list("state").annotate(Count("pk")).order_by())
    rows = (
        ("orders", _("orders paid"), Order.objects.exclude(paid_at=None).count(), "shop_order"),
        ("boxes", _("boxes shipped"), Box.objects.count(), "shop_box"),
        ("packets", _("red packets"), RedPacket.objects.count(), "shop_redpacket"),
        ("outbox", _("in the outbox"), OutboxMessage.objects.count(), "django_dlq_outboxmessage"),
    )
    counted = [
        Figure(name=name, label=str(label), count=count, url=_admin_list(model)) for name, label, count, model in rows
    ]
    for state, label in LETTERS.items():
        url = _admin_list("django_dlq_deadletter", f"?state__exact={state.value}")
        counted.append(Figure(name=state.value, label=str(_(label)), count=letters.get(state.value, 0), url=url))
    return counted


def latest_orders(number: int) -> list[OrderLine]:
    """Return the latest orders with what became of them."""
    latest = Order.objects.select_related("course", "box").prefetch_related("red_packets").order_by("-pk")[:number]
    letters = shipping_letters(latest)
    return [
        OrderLine(order=order, packets=len(order.red_packets.all()), letter=letters.get(order.message_key))
        for order in latest
    ]


def shipping_letters(orders: Iterable[Order]) -> dict[str, DeadLetter]:
    """Return the open letter of each order whose box could not be sent, by message key."""
    keys: Sequence[str] = [order.message_key for order in orders]
    return {letter.message_key: letter for letter in DeadLetter.objects.open().filter(message_key__in=keys)}


def _admin_list(model: str, query: str = "") -> str:
    return reverse(f"admin:{model}_changelist") + query
