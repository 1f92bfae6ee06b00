"""Let transactions that publish one key wait for each other, so that they get their ids in the order they commit."""

from collections.abc import Iterable
from hashlib import blake2b

from django.db import connections

# Of all locks at once, or two calls would be two journeys; each is kept until the transaction ends.
LOCK = "SELECT count(pg_advisory_xact_lock(number)) FROM unnest(%s::bigint[]) AS number"


def lock_keys(keys: Iterable[tuple[str, bytes]], *, using: str) -> None:
    """Lock topics' keys until the transaction ends, on PostgreSQL; elsewhere do nothing.

    In the order of their numbers, so that two calls for many keys do not wait for each other in a circle.
    """
    numbers = sorted({_number(topic, key) for topic, key in keys})
    if numbers and connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute(LOCK, ["{" + ",".join(map(str, numbers)) + "}"])


def _number(topic: str, key: bytes) -> int:
    # 64 bits, and a name of our own: two keys with one number would only wait for each other without need.
    digest = blake2b(topic.encode() + b"\0" + key, digest_size=8, person=b"django_dlq")
    return int.from_bytes(digest.digest(), "big", signed=True)
