"""Check what was promised, from three witnesses: the database, the topic, and the logistics company's own log."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from confluent_kafka import Message
from django.db.models import Count, Q, QuerySet

from django_dlq import message as wire
from django_dlq.models import DeadLetter, HalfMessage, OutboxMessage, Source, State
from example_project.logistics_service import shipped
from example_project.shop import bank
from example_project.shop.models import Order, RedPacket
from example_project.stage import Stage

UNREADABLE, EXPIRED = "django_dlq.exceptions.UnreadableBody", "django_dlq.exceptions.Expired"
UNDELIVERABLE = "example_project.shop.logistics.LogisticsDown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was counted."""

    orders: int
    shipped: int
    packets: int
    dead: int
    replayed: int
    lost: int

    def __str__(self) -> str:
        return (
            f"{self.orders} orders, {self.shipped} shipped exactly once, {self.packets} red packets, "
            f"{self.dead} dead letters, {self.replayed} replayed, {self.lost} lost"
        )


@dataclass(slots=True)
class Promises:
    """What must hold of this run: of the orders after `newest_order`, and of the letters of its topic."""

    stage: Stage
    newest_order: int
    orders_to_come: int
    duplicates: int

    def orders(self) -> QuerySet[Order]:
        """The orders of this run."""
        return Order.objects.filter(pk__gt=self.newest_order).order_by("pk")

    def letters(self) -> QuerySet[DeadLetter]:
        """The letters of this run."""
        return DeadLetter.objects.filter(topic=self.stage.topic_name)

    def outbox(self) -> QuerySet[OutboxMessage]:
        """What this run has not sent yet."""
        return OutboxMessage.objects.filter(topic=self.stage.topic_name)

    def undeliverable(self) -> QuerySet[DeadLetter]:
        """The letters of boxes that the logistics service has refused."""
        return self.letters().filter(error_class=UNDELIVERABLE)

    def dead(self) -> QuerySet[DeadLetter]:
        """The letters that were dead at some time: they still are, or a person has replayed them."""
        return self.letters().filter(Q(state=State.DEAD) | Q(replays__gt=0))

    def figures(self) -> Figures:
        """Count."""
        return Figures(
            orders=self.orders().count(),
            shipped=len(self._shipped_once()),
            packets=RedPacket.objects.filter(order__in=self.orders()).count(),
            dead=self.dead().count(),
            replayed=self.letters().filter(replays__gt=0, state=State.RESOLVED).count(),
            lost=len(self._lost()),
        )

    def broken(self) -> list[str]:
        """Name each promise that does not hold."""
        return [
            *self._in_the_database(),
            *self._in_the_topic(),
            *self._at_the_logistics_company(),
            *self._at_the_bank(),
        ]

    def has_broken_messages(self) -> bool:
        """Tell whether the one unreadable and the one expired message are dead letters."""
        return self._count(UNREADABLE, Source.CONSUMER) == self._count(EXPIRED, Source.RELAY) == 1

    def _in_the_database(self) -> Iterator[str]:
        counted = self.orders().annotate(boxes=Count("box", distinct=True), packets=Count("red_packets", distinct=True))
        if (number := counted.count()) != self.orders_to_come:
            yield f"{number} orders were paid, not {self.orders_to_come}"
        if wrong := counted.exclude(boxes=1, packets=1):
            yield f"{len(wrong)} orders have not exactly one box and one red packet: {_some(wrong)}"
        if without := self.orders().filter(access__isnull=True):
            yield f"{len(without)} orders were paid and gave no access: {_some(without)}"
        if not self.has_broken_messages():
            yield "there is not exactly one dead letter for the unreadable message and one for the expired one"
        if unsettled := self.letters().exclude(error_class__in=[UNREADABLE, EXPIRED]).exclude(state=State.RESOLVED):
            yield f"{len(unsettled)} letters of boxes are not resolved"
        if left := self.outbox().count():
            yield f"{left} messages are still in the outbox"

    def _in_the_topic(self) -> Iterator[str]:
        ids = self._ids_in_the_topic()
        missing = [order for order in self.orders() if order.message_key not in ids]
        if missing:
            yield f"the messages of {len(missing)} orders are not in the topic: {_some(missing)}"
        if changed := [key for key, sent in ids.items() if len(sent) > 1]:
            yield f"{len(changed)} messages were sent again with another id"
        again = sum(sum(sent.values()) - 1 for sent in ids.values())
        replays = sum(self.letters().values_list("replays", flat=True))
        if again < self.duplicates + replays:
            yield f"the topic has {again} records more than messages; {self.duplicates + replays} were sent again"

    def _at_the_logistics_company(self) -> Iterator[str]:
        boxes = Counter(shipped(self.stage.shipments))
        wrong = [order for order in self.orders() if boxes[str(order.pk)] != 1]
        if wrong:
            yield f"the logistics company has not shipped {len(wrong)} orders exactly once: {_some(wrong)}"
        if boxes.keys() - {str(order.pk) for order in self.orders()}:
            yield "the logistics company has shipped boxes that nobody ordered"

    def _at_the_bank(self) -> Iterator[str]:
        paid = {str(payment) for payment in self.orders().exclude(paid_at=None).values_list("payment", flat=True)}
        if not (charged := bank.charged()):
            yield "the bank has charged nobody"
        if lost := set(charged) - paid:
            yield f"the bank has charged {len(lost)} payments whose orders are not paid"
        if left := HalfMessage.objects.filter(topic=self.stage.topic_name).waiting().count():
            yield f"{left} half messages are not decided"

    def _shipped_once(self) -> list[Order]:
        boxes = Counter(shipped(self.stage.shipments))
        return [order for order in self.orders().filter(box__isnull=False) if boxes[str(order.pk)] == 1]

    def _lost(self) -> list[Order]:
        """Return orders that went nowhere: not waiting in the outbox, not shipped, and without a letter to be seen."""
        seen = set(self.outbox().values_list("message_key", flat=True))
        seen |= set(
            self.letters().filter(group="shipping").exclude(state=State.RESOLVED).values_list("message_key", flat=True)
        )
        return [order for order in self.orders().filter(box__isnull=True) if order.message_key not in seen]

    def _ids_in_the_topic(self) -> dict[str, Counter[str]]:
        ids: dict[str, Counter[str]] = {}
        for record in self.stage.topic.records():
            headers = _headers(record)
            key = headers.get(wire.MESSAGE_KEY, headers[wire.ID])
            ids.setdefault(key, Counter())[headers[wire.ID]] += 1
        return ids

    def _count(self, error_class: str, source: Source) -> int:
        return self.letters().filter(error_class=error_class, source=source, state=State.DEAD).count()


def _headers(record: Message) -> dict[str, str]:
    pairs = cast("list[tuple[str, bytes | None]]", record.headers() or [])
    return {name: value.decode() for name, value in pairs if value is not None}


def _some(orders: "QuerySet[Order] | list[Order]") -> str:
    return ", ".join(str(order) for order in list(orders)[:5])
