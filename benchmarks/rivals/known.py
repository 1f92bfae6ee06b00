"""Who is measured beside us, and how: configured for speed, as far as that still confirms each message."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """One of them. Its program is NAME.py here, and what it needs is in NAME.txt."""

    name: str
    django: bool
    configuration: str
    order: str  # what it promises of the order of one key
    python: str = "3.11"  # or newer
    messages: int = 2000
    hot_messages: int = 2000

    @property
    def module(self) -> str:
        """Its name in file names and databases."""
        return self.name.replace("-", "_")


RIVALS = (
    Rival(
        name="django-reliable-outbox",
        django=True,
        configuration="one worker, batches of 100, its own Kafka destination, which flushes each message",
        order="per key",
        python="3.12",
        hot_messages=1000,
    ),
    Rival(
        name="django-celery-outbox",
        django=True,
        configuration="batches of 500, Kombu's Kafka transport, which flushes each message (about 900 bytes)",
        order="none",
    ),
    Rival(
        name="django-outbox-pattern",
        django=True,
        configuration="chunks of 500, a STOMP connection that hands over to Kafka: rows are marked before anything is "
        "confirmed, one flush at the end",
        order="none",
    ),
    Rival(
        name="django-jaiminho",
        django=True,
        configuration="keep-order, DELETE_AFTER_SEND, a function that sends and flushes one message",
        order="all messages in one order",
    ),
    Rival(
        name="txoutbox",
        django=False,
        messages=20_000,
        configuration="asyncpg, batch 500, concurrency 500, a publish function on confluent-kafka with futures",
        order="per key",
    ),
    Rival(
        name="faststream-outbox",
        django=False,
        messages=5_000,
        configuration="asyncpg, 8 workers, fetch 100, terminal flush 100, FastStream's aiokafka broker with acks=all",
        order="none",
    ),
)
