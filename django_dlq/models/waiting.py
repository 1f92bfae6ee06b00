"""How many messages wait for something, counted no further than a page can afford."""

from typing import Final

from django.db.models import Count, Q

from django_dlq.models.dead_letter import DeadLetter
from django_dlq.models.outbox_message import OutboxMessage
from django_dlq.models.published_message import PublishedMessage

MOST_COUNTED: Final = 10_000
"""Of the outbox only so many of its oldest rows are looked at. What is stopped stays and grows old, so it is there."""


def count_waiting(*conditions: Q) -> list[str]:
    """Return for each condition how many messages in the outbox meet it, with one query.

    As text: "12+" where there are more messages than are looked at, so that there may be more than 12.
    """
    if not conditions:
        return []
    oldest = OutboxMessage.objects.order_by("pk")[:MOST_COUNTED]
    wanted = {f"n{place}": Count("pk", filter=condition) for place, condition in enumerate(conditions)}
    found = oldest.aggregate(looked_at=Count("pk"), **wanted)
    more = "+" if found["looked_at"] == MOST_COUNTED else ""
    return [f"{found[name]}{more}" for name in wanted]


def is_known(topic: str) -> bool:
    """Tell whether a message of the topic is among those that wait the longest, or that were sent last."""
    waiting = OutboxMessage.objects.order_by("pk").values_list("topic", flat=True)[:MOST_COUNTED]
    sent = PublishedMessage.objects.order_by("-pk").values_list("topic", flat=True)[:MOST_COUNTED]
    return topic in waiting or topic in sent


def behind(letter: DeadLetter) -> Q:
    """Return the condition of the messages that wait for a letter that holds its key; replays do not."""
    return Q(topic=letter.topic, key=letter.key, letter_id=None)
