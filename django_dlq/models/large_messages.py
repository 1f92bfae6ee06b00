"""What is too large of a message to be read with a whole page: how large it is, and then that part itself."""

from collections.abc import Iterable

from django.db.models.functions import Coalesce

from django_dlq.models.outbox_message import OutboxMessage, OutboxQuerySet
from django_dlq.models.outgoing import TEXT, TEXT_SIZE, OctetLength, Outgoing


def sizes(rows: Iterable[Outgoing], *, using: str) -> dict[int, int]:
    """Return how many bytes each of these rows takes that is not whole, by its id.

    Only where headers or key have yet to be read is there need to ask: the size of a body is known.
    """
    return dict(_partial(rows, using).values_list("pk", TEXT_SIZE + Coalesce(OctetLength("body"), 0)))


def whole(rows: Iterable[Outgoing], *, using: str) -> list[Outgoing]:
    """Return these rows whole, without those that are gone meanwhile: they were sent, or deleted by a person."""
    rows = list(rows)
    parts = {
        pk: {"body": None if body is None else bytes(body), "key": key, "headers_text": text}
        for pk, body, key, text in _partial(rows, using).values_list("pk", "body", "key", TEXT)
    }
    return [row._replace(**parts.get(row.id, {})) for row in rows if not row.is_partial or row.id in parts]


def _partial(rows: Iterable[Outgoing], using: str) -> OutboxQuerySet:
    partial: OutboxQuerySet = OutboxMessage.objects.using(using)
    return partial.filter(pk__in={row.id for row in rows if row.is_partial})
