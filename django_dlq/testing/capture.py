"""See what was published: `with captured_messages() as messages: ...`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import SupportsIndex, overload

from django.db.models import Max

from django_dlq.message import ReceivedMessage
from django_dlq.models import OutboxMessage, PublishedMessage

FILTERS = frozenset({"topic", "key", "tag", "message_id", "message_key"})


class CapturedMessages(Sequence[ReceivedMessage]):
    """The messages published since a moment, in order, each as a handler would receive it.

    So a test may compare `messages[0].json()`, and also call a handler with `messages[0]` itself.
    """

    def __init__(self) -> None:
        self._after = _last_id()
        self._ended: list[ReceivedMessage] | None = None

    def filter(self, **wanted: str | None) -> list[ReceivedMessage]:
        """Return those of this topic, key, tag, message_id and message_key; raise TypeError for any other name."""
        if unknown := sorted(wanted.keys() - FILTERS):
            raise TypeError(f"messages are filtered by {', '.join(sorted(FILTERS))}, not by {', '.join(unknown)}")
        return [message for message in self if all(getattr(message, name) == wanted[name] for name in wanted)]

    @overload
    def __getitem__(self, index: SupportsIndex) -> ReceivedMessage: ...

    @overload
    def __getitem__(self, index: slice) -> list[ReceivedMessage]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> ReceivedMessage | list[ReceivedMessage]:
        return self._all()[index]

    def __iter__(self) -> Iterator[ReceivedMessage]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        lines = "".join(f"\n  {message.topic} {message.message_key} {message.body!r}" for message in self)
        return f"<{len(self)} captured messages{lines}>"

    def end(self) -> None:
        """Keep what there is now; what is published later is not part of it."""
        self._ended = self._all()

    def _all(self) -> list[ReceivedMessage]:
        if self._ended is not None:
            return self._ended
        rows = {row.outbox_id: _outbox_row(row) for row in PublishedMessage.objects.filter(outbox_id__gt=self._after)}
        rows |= {row.pk: row for row in OutboxMessage.objects.filter(pk__gt=self._after)}
        return [ReceivedMessage.of(rows[pk].record(), rows[pk].group) for pk in sorted(rows)]


@contextmanager
def captured_messages() -> Iterator[CapturedMessages]:
    """Give a list of what is published inside the block, up to date at any moment.

    It holds what this database connection sees: what an inner atomic() rolls back disappears from it, and inside
    TestCase, whose own transaction never commits, it holds what would be sent if it did. Messages that `drain` has sent
    stay in the list, and so do replays of dead letters.
    Not promised: messages that have become dead letters, or were sent where DLQ_PUBLISHED_RETENTION keeps no history.
    """
    messages = CapturedMessages()
    yield messages
    # Not after an exception: it may have broken the transaction, and its own text is what the test needs to show.
    messages.end()


def _last_id() -> int:
    waiting = OutboxMessage.objects.aggregate(last=Max("pk"))["last"]
    sent = PublishedMessage.objects.aggregate(last=Max("outbox_id"))["last"]
    return max(waiting or 0, sent or 0)


def _outbox_row(sent: PublishedMessage) -> OutboxMessage:
    return OutboxMessage(letter_id=sent.letter_id, group=sent.group, **sent.message_columns())
