"""Dead letters for tests, as the machines would write them."""

from typing import Any

from django_dlq.message import Record
from django_dlq.models import DeadLetter, DeadLetterEvent, Kind, Source, State, open_key


def consumer_letter(state: str = State.DEAD, **columns: Any) -> DeadLetter:
    """Write the letter of a message that the group `shipping` could not handle."""
    columns = {
        "source": Source.CONSUMER,
        "group": "shipping",
        "handler": "tests.pack",
        "message_id": "m-1",
        "message_key": "order-1",
        "topic": "orders",
        "body": b'{"order": 1}',
        "error_class": "ValueError",
        "error_message": "no",
        "fingerprint": "f" * 32,
        "attempts": 1,
    } | columns
    is_open = state not in {State.RESOLVED, State.DISCARDED, State.COMPENSATED}
    columns.setdefault("open_key", open_key(columns["group"], columns["message_key"]) if is_open else None)
    return DeadLetter.objects.create(state=state, **columns)


def relay_letter(state: str = State.DEAD, **columns: Any) -> DeadLetter:
    """Write the letter of a message that the broker did not take."""
    columns = {"source": Source.RELAY, "group": "", "handler": "", "open_key": None} | columns
    return consumer_letter(state, **columns)


def timeline(letter: DeadLetter) -> list[tuple[str, str]]:
    """Return what happened to a letter, and who did it."""
    return [
        (Kind(kind), name)
        for kind, name in DeadLetterEvent.objects.filter(letter=letter).values_list("kind", "actor_name")
    ]


def replay_record(letter: DeadLetter, **parts: Any) -> Record:
    """Return the record that arrives when a letter is replayed."""
    own = (("id", letter.message_id), ("dlq-message-key", letter.message_key), ("dlq-group", letter.group))
    headers = [(name, value.encode()) for name, value in own]
    parts = {"partition": 0, "offset": 99, "body": letter.body_bytes} | parts
    return Record(topic=letter.topic, headers=(*headers, ("dlq-letter", str(letter.pk).encode())), **parts)
