"""What KafkaBroker tells librdkafka: the user's OPTIONS, with defaults below them and the promises above them."""

from collections.abc import Iterator, Mapping
from typing import Any

Options = Mapping[str, Any]

_DEFAULTS = {
    # After an outage: find the brokers again within a second, instead of ten.
    "reconnect.backoff.max.ms": 1000,
}
_PRODUCER_DEFAULTS = {
    # As Java, Spring and Debezium do: so a key has one partition, whoever publishes it.
    "partitioner": "murmur2_random",
    # `send` ends in a flush, which does not wait for this: it only lets the records of a partition become one batch.
    "linger.ms": 1000,
}
_CONSUMER_DEFAULTS = {
    "partition.assignment.strategy": "cooperative-sticky",
    # A topic that is created after its consumers is found within this time, instead of five minutes.
    "topic.metadata.refresh.interval.ms": 5000,
}
_PRODUCER_PROMISES = {
    "enable.idempotence": True,
    # Without it, the records after a rejected batch would still be stored, before those that are tried again.
    "enable.gapless.guarantee": True,
    # Without an end, since records that expire one by one in the client leave gaps; `send` takes back all at once.
    "message.timeout.ms": 0,
}
_CONSUMER_PROMISES = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
}
_OURS = {
    "transactional.id": "the outbox needs no Kafka transactions, and they would delay every message",
    "message.timeout.ms": "DLQ_PUBLISH_TIMEOUT decides, and takes back all messages of a batch together",
    "delivery.timeout.ms": "DLQ_PUBLISH_TIMEOUT decides, and takes back all messages of a batch together",
    "group.id": "each handler names its own group",
}
_SERVERS = ("bootstrap.servers", "metadata.broker.list")


def producer_settings(options: Options, *, timeout: float) -> dict[str, Any]:
    """Return the settings of a producer whose sends have this many seconds."""
    # A topic that does not exist must be known as such before the time is up, or it would look like an outage.
    patience = {"topic.metadata.propagation.max.ms": int(min(5.0, timeout / 2) * 1000)}
    return {**_DEFAULTS, **_PRODUCER_DEFAULTS, **patience, **_without_ours(options), **_PRODUCER_PROMISES}


def consumer_settings(options: Options, *, group: str) -> dict[str, Any]:
    """Return the settings of one member of a group."""
    defaults = _DEFAULTS | _CONSUMER_DEFAULTS
    if _normal(options.get("group.protocol", "")) == "consumer":  # KIP-848, in which the broker hands out partitions
        del defaults["partition.assignment.strategy"]
    return {**defaults, **_without_ours(options), **_CONSUMER_PROMISES, "group.id": group}


def without_servers(settings: Options) -> dict[str, Any]:
    """Return settings with which a client connects to nothing."""
    return {name: value for name, value in settings.items() if name not in _SERVERS}


def has_servers(options: Options) -> bool:
    """Return whether any address is given."""
    return any(options.get(name) for name in _SERVERS)


def broken_promises(options: Options) -> Iterator[tuple[str, str]]:
    """Name each option that would break a promise of this app, and say why it may not be set so."""
    for name, why in _OURS.items():
        if name in options:
            yield name, why
    for name, needed in {**_PRODUCER_PROMISES, **_CONSUMER_PROMISES}.items():
        if name in options and name not in _OURS and _normal(options[name]) != _normal(needed):
            yield name, f"what this app promises needs {_normal(needed)}"


def _without_ours(options: Options) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _OURS}


def _normal(value: object) -> str:
    # librdkafka takes all of these for booleans, and these three names for the beginning of a topic.
    text = str(value).lower()
    synonyms = {"1": "true", "t": "true", "0": "false", "f": "false", "smallest": "earliest", "beginning": "earliest"}
    return synonyms.get(text, text)
