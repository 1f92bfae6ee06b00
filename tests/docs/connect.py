"""Properties of Kafka Connect: each is one that the command prints."""

from sybil import Example

from django_dlq.management.commands.dlq_debezium import HEAD
from django_dlq.management.connector import Connector

SHOP = Connector(
    name="dlq_shop",
    database={"NAME": "shop", "USER": "shop", "HOST": "db", "PORT": 5432},
    broker="default",
    schema="public",
    table="django_dlq_outboxmessage",
    label="public.django_dlq_outboxmessage",
    is_alone=True,
)


def compare(example: Example) -> None:
    """Look for each line of a block in what dlq_debezium would print for a shop."""
    printed = [f"{name}={value}" for name, value in SHOP.configuration().items()]
    for_the_worker = [line.removeprefix("#").strip() for line in HEAD.splitlines()]
    for line in example.parsed.splitlines():
        assert line in printed or line in for_the_worker, f"dlq_debezium does not print {line}"
