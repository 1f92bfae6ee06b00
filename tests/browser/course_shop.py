"""What the dead letters of an online course shop look like one night, for screenshots."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from django_dlq import deadletters, inbox
from django_dlq.models import (
    BrokerOutage,
    Circuit,
    DeadLetter,
    DeadLetterEvent,
    Dependency,
    InboxMessage,
    Kind,
    OutboxMessage,
    PublishedMessage,
    RelayLane,
    RelayProcess,
    Source,
    State,
    StoppedGroup,
    key_columns,
)

BUYERS = ("王小明", "Zoë Müller", "Łukasz Wójcik", "陈静怡", "Amélie Dubois", "محمد علي", "Søren Ågård", "田中 美咲")
COURSES = ("数据库入门", "Kafka in practice", "Django for teams", "Calm operations")

TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/shop/django_dlq/inbox.py", line 63, in handle_once
    function(message)
  File "/srv/shop/shipping/handlers.py", line 41, in ship
    tracking = logistics.book(parcel, to=order["recipient"])
               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/shipping/logistics.py", line 88, in book
    raise LogisticsDown(f"{response.status_code} from {self.url}") from None
shop.shipping.logistics.LogisticsDown: 503 from https://logistics.example/v2/parcels
  note: the carrier answered “系统维护中 请稍后再试” (under maintenance, try again later)
"""

FAILURES: dict[str, dict[str, Any]] = {
    "logistics": {
        "topic": "orders",
        "group": "shipping",
        "handler": "shop.shipping.handlers.ship",
        "error_class": "shop.shipping.logistics.LogisticsDown",
        "error_message": "503 from https://logistics.example/v2/parcels\n系统维护中 请稍后再试",
        "traceback": TRACEBACK,
        "fingerprint": "4f1c" * 8,
        "tag": "paid",
    },
    "bonus": {
        "topic": "payments",
        "group": "bonus",
        "handler": "shop.bonus.handlers.credit_points",
        "error_class": "KeyError",
        "error_message": "'points_per_euro'",
        "traceback": TRACEBACK.replace("LogisticsDown", "KeyError"),
        "fingerprint": "b03a" * 8,
        "tag": "captured",
    },
    "unreadable": {
        "topic": "payments",
        "group": "bonus",
        "handler": "shop.bonus.handlers.credit_points",
        "error_class": "django_dlq.exceptions.UnreadableBody",
        "error_message": "the body is not JSON: Expecting ',' delimiter: line 1 column 58 (char 57)",
        "traceback": TRACEBACK.replace("LogisticsDown", "UnreadableBody"),
        "fingerprint": "77de" * 8,
        "tag": "captured",
    },
    "too_large": {
        "topic": "certificates",
        "error_class": "django_dlq.exceptions.MessageRefused",
        "error_message": "MSG_SIZE_TOO_LARGE: Broker: Message size too large",
        "traceback": "",
        "fingerprint": "09ab" * 8,
        "source": Source.RELAY,
    },
}


def fill() -> User:
    """Write a night's letters, and return the operator who looks at them."""
    operator = User.objects.create_superuser("wei.chen", email="wei@example.com", password="night")
    plan = ["logistics"] * 9 + ["bonus"] * 3 + ["unreadable", "too_large"]
    rows = [_letter(number, name, minutes=7 + 11 * number) for number, name in enumerate(plan)]
    for number in range(20, 24):
        _letter(number, "logistics", minutes=3, state=State.RETRYING)
    _settle(rows, operator)
    _good_ones()
    _open_circuits(operator)
    return operator


def _open_circuits(operator: User) -> None:
    for name, function in (("logistics", print), ("mail", repr)):
        inbox.handler(name, group=name, depends_on=name)(function)
    down = {"error_class": "shop.shipping.logistics.LogisticsDown", "failures": 5, "trials": 12}
    Dependency.objects.create(
        name="logistics",
        state=Circuit.OPEN,
        opened_at=timezone.now() - timedelta(minutes=4),
        failed_at=timezone.now() - timedelta(seconds=2),
        next_probe_at=timezone.now() + timedelta(seconds=1),
        error_message="503 from https://logistics.example/v2/parcels\n系统维护中 请稍后再试",
        **down,
    )
    Dependency.objects.open_by_hand("mail", actor=operator, actor_name="wei.chen", reason="The provider moves house.")
    DeadLetter.objects.filter(error_class=down["error_class"]).update(dependency="logistics")


def _letter(number: int, failure: str, *, minutes: int, state: State = State.DEAD) -> DeadLetter:
    order = 20417 + number
    buyer, course = BUYERS[number % len(BUYERS)], COURSES[number % len(COURSES)]
    body: Any = {
        "order": order,
        "course": course,
        "recipient": {"name": buyer, "email": f"buyer{order}@example.com", "city": "上海"},
        "price": {"amount": "149.00", "currency": "EUR"},
        "items": [{"sku": "BOOK-1", "quantity": 1}, {"sku": "PEN-7", "quantity": 2}],
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if failure == "unreadable":
        text = text.replace('","', '""', 1)
    message_id = f"6f9d{order:05d}-8c1e-4b7a-9f00-3d5e2a71c0aa"
    columns = {"source": Source.CONSUMER, "partition": number % 6, "offset": 881_204 + number} | FAILURES[failure]
    headers = (
        ("id", message_id.encode()),
        ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("content-type", b"application/json"),
        ("authorization", b"Bearer eyJhbGciOi"),
        ("checksum", b"\x9f\x86\xd0\x81"),
    )
    last = timezone.now() - timedelta(minutes=minutes)
    row = DeadLetter.objects.create(
        state=state,
        message_id=message_id,
        message_key=f"order-{order}-{'paid' if columns['topic'] == 'orders' else 'captured'}",
        headers=headers,
        body=text.encode(),
        release="2026.11.3",
        attempts=3 if columns["source"] == Source.CONSUMER else 1,
        first_failed_at=last - timedelta(hours=2, minutes=40),
        last_failed_at=last,
        sent_at=last - timedelta(hours=2, minutes=41),
        next_attempt_at=timezone.now() + timedelta(minutes=4) if state == State.RETRYING else None,
        **key_columns(f"customer-{number % 5}".encode()),
        **columns,
    )
    for attempt in range(1, row.attempts + 1):
        _failed(row, attempt, at=last - timedelta(minutes=80 * (row.attempts - attempt)))
    return row


def _failed(row: DeadLetter, attempt: int, *, at: Any) -> None:
    data = {"attempt": attempt, "error_class": row.error_class, "error_message": row.error_message.partition("\n")[0]}
    if attempt == 1:
        data["traceback"] = row.traceback
    event = DeadLetterEvent.objects.note(row, Kind.FAILED, actor="consumer", data=data)
    DeadLetterEvent.objects.filter(pk=event.pk).update(at=at)


def _settle(rows: list[DeadLetter], operator: User) -> None:
    deadletters.replay(rows[0], actor=operator, reason="Carrier says the maintenance is over.")
    rows[0].events.filter(kind=Kind.REPLAYED).update(at=timezone.now() - timedelta(minutes=4))
    rows[0].move("give_up")
    _failed(rows[0], 4, at=timezone.now() - timedelta(minutes=2))
    DeadLetter.objects.filter(pk=rows[0].pk).update(last_failed_at=timezone.now() - timedelta(minutes=2), attempts=4)
    deadletters.discard(rows[8], actor=operator, reason="测试订单, made by QA")
    deadletters.replay(rows[7], actor=operator)


def _good_ones() -> None:
    now = timezone.now()
    for number in range(12):
        order = 20300 + number
        shared: dict[str, Any] = {"topic": "orders", "message_id": f"id-{order}", "message_key": f"order-{order}-paid"}
        message = shared | key_columns(f"customer-{number % 5}".encode()) | {"body": b"{}", "tag": "paid"}
        PublishedMessage.objects.create(
            outbox_id=order, partition=number % 6, offset=881_000 + number, created_at=now, **message
        )
        InboxMessage.objects.create(group="shipping", **shared)
    for number in range(4):
        OutboxMessage.objects.create(
            topic="orders",
            message_id=f"id-{number}",
            message_key=f"order-{20500 + number}-paid",
            body=b'{"order":20500}',
            priority=5 if number == 0 else 0,
            expires_at=now + timedelta(hours=number) if number else None,
        )
    _relays(now)
    _stops(now)


def _stops(now: datetime) -> None:
    why = FAILURES["bonus"]
    facts = {"handler": why["handler"], "error_class": why["error_class"], "error_message": why["error_message"]}
    facts |= {"fingerprint": why["fingerprint"], "failed": 50, "out_of": 50}
    for release, hours in (("2026.11.2", 52), ("2026.11.3", 1)):
        stop, _ = StoppedGroup.objects.stop(group="bonus", release=release, **facts)
        StoppedGroup.objects.filter(pk=stop.pk).update(stopped_at=now - timedelta(hours=hours))
    first = StoppedGroup.objects.get(release="2026.11.2")
    first.end(actor_name="陈静怡", reason="The setting points_per_euro was missing; it is there now.")


def _relays(now: datetime) -> None:
    owners = ("relay-1:4242:9f86d081", "relay-2:3131:60303ae2")
    until = now + timedelta(hours=1)  # long enough for all pictures
    for number, owner in enumerate(owners):
        started = now - timedelta(hours=30 - number)
        RelayProcess.objects.create(
            owner=owner, alive_until=until, started_at=started, sent=1_204_518 - number * 3311, rate=412.5 - number * 7
        )
    for lane in range(64):
        owner, leased = (owners[lane // 32], until) if lane < 60 else ("", None)
        RelayLane.objects.create(lane=lane, owner=owner, epoch=7, leased_until=leased)
    reason = (
        'KafkaError{code=_TRANSPORT,str="kafka-2.example:9092: Connect to 10.1.4.7:9092 failed: Connection refused"}'
    )
    BrokerOutage.objects.create(
        relay_id=owners[1], broker="analytics", since=now - timedelta(minutes=42), reason=reason
    )
