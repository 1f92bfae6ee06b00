"""What one would write by hand: psycopg and confluent-kafka, the same tables, the same durability, nothing more.

No lease, no fence, no history, no order by priority, no delays, no expiry, no headers but the id, no dead letters.
"""

import json
import uuid
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import confluent_kafka
import psycopg

Connection = psycopg.Connection[Any]
BATCH = 500

ORDER = "INSERT INTO benchmarks_order (number) VALUES (%s) RETURNING id"
COLUMNS = 'message_id, message_key, topic, key, tag, headers, body, broker, lane, priority, "group"'
ORDERS = "INSERT INTO benchmarks_order (number) SELECT unnest(%s::text[])"
PUBLISH = (
    f"INSERT INTO django_dlq_outboxmessage ({COLUMNS}) VALUES (%s, %s, %s, %s, '', '[]', %s, 'default', %s, 0, '')"
)
PUBLISH_MANY = f"""INSERT INTO django_dlq_outboxmessage ({COLUMNS})
    SELECT id, id, topic, key, '', '[]', body, 'default', lane, 0, ''
    FROM unnest(%b::text[], %b::text[], %b::text[], %b::bytea[], %b::smallint[]) AS t (id, topic, key, body, lane)"""
READ = "SELECT id, message_id, topic, key, body FROM django_dlq_outboxmessage ORDER BY id LIMIT %s"
DELETE = "DELETE FROM django_dlq_outboxmessage WHERE id = ANY(%s)"
CLAIM = """INSERT INTO django_dlq_inboxmessage ("group", message_key, message_id, topic) VALUES (%s, %s, %s, %s)
    ON CONFLICT DO NOTHING"""


CLAIM_MANY = """INSERT INTO django_dlq_inboxmessage ("group", message_key, message_id, topic)
    SELECT %b, id, id, topic FROM unnest(%b::text[], %b::text[]) AS t (id, topic)
    ON CONFLICT DO NOTHING RETURNING message_key"""


def publish(connection: Connection, topic: str, key: str, body: dict[str, Any]) -> None:
    """Write one message to the outbox."""
    message_id = str(uuid.uuid4())
    connection.execute(PUBLISH, (message_id, message_id, topic, key, _json(body), _lane(key)))


def publish_many(connection: Connection, topic: str, messages: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Write many messages to the outbox with one statement."""
    ids = [str(uuid.uuid4()) for _ in messages]
    keys = [key for key, _ in messages]
    bodies = [_json(body) for _, body in messages]
    connection.execute(PUBLISH_MANY, (ids, [topic] * len(ids), keys, bodies, [_lane(key) for key in keys]))


def relay(connection: Connection, producer: confluent_kafka.Producer) -> int:
    """Send one batch, wait once until all is confirmed, and delete it."""
    rows = connection.execute(READ, (BATCH,)).fetchall()
    refused: list[confluent_kafka.KafkaError] = []

    def confirm(error: confluent_kafka.KafkaError | None, _message: confluent_kafka.Message) -> None:
        if error is not None:
            refused.append(error)

    for _, message_id, topic, key, body in rows:
        producer.produce(topic, body, key, headers=[("id", message_id.encode())], on_delivery=confirm)
    left = producer.flush(10)
    if left or refused:
        raise RuntimeError(f"{left} messages unconfirmed, {len(refused)} refused")
    connection.execute(DELETE, ([row[0] for row in rows],))
    return len(rows)


def poll(consumer: confluent_kafka.Consumer, limit: int) -> list[Any]:
    """Wait for a message, and take it with what else is there."""
    first = consumer.poll(1.0)
    if first is None:
        return []
    # consume() waits for as many as it is asked for, unless it has no time.
    return [first, *consumer.consume(limit - 1, 0)]


def consume(connection: Connection, consumer: confluent_kafka.Consumer, group: str, limit: int) -> int:
    """Handle some messages, each in a transaction with its inbox row; then commit the offsets."""
    messages = poll(consumer, limit)
    for message in messages:
        message_id = message_id_of(message)
        with connection.transaction():
            claimed = connection.execute(CLAIM, (group, message_id, message_id, message.topic()))
            if claimed.rowcount:
                connection.execute(ORDER, (order_of(message),))
    if messages:
        consumer.commit(asynchronous=False)
    return len(messages)


def consume_batch(connection: Connection, consumer: confluent_kafka.Consumer, group: str, limit: int) -> int:
    """Handle some messages, all in one transaction with their inbox rows; then commit the offsets."""
    messages = poll(consumer, limit)
    if not messages:
        return 0
    by_id = {message_id_of(message): message for message in messages}
    with connection.transaction():
        topics = [message.topic() for message in by_id.values()]
        claimed = {key for (key,) in connection.execute(CLAIM_MANY, (group, list(by_id), topics)).fetchall()}
        connection.execute(ORDERS, ([order_of(by_id[key]) for key in by_id if key in claimed],))
    consumer.commit(asynchronous=False)
    return len(messages)


def message_id_of(message: Any) -> str:
    """Return the identity that the message's headers say."""
    return bytes(dict(message.headers())["id"]).decode()


def order_of(message: Any) -> str:
    """Return what the handler inserts."""
    order: str = json.loads(message.value() or b"")["order"]
    return order


def _lane(key: str) -> int:
    return crc32(key.encode()) % 64


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
