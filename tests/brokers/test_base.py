"""What all brokers have from their base."""

import pytest

from django_dlq.brokers.base import Receipt, one_by_one
from django_dlq.exceptions import BrokerUnavailable, HeldBack, MessageRefused
from django_dlq.message import Record

pytestmark = pytest.mark.once

ANSWERS = {b"refused": MessageRefused("no"), b"unavailable": BrokerUnavailable("not now")}


def outcomes(*records: tuple[str, bytes | None, bytes]) -> tuple[list[type], list[bytes | None]]:
    """Return the class of each error, and what was offered to be stored."""
    offered: list[bytes | None] = []

    def store(record: Record) -> Receipt:
        offered.append(record.body)
        return Receipt(error=ANSWERS.get(record.body or b""))

    receipts = one_by_one([Record(topic=topic, key=key, body=body) for topic, key, body in records], store)
    return [type(receipt.error) for receipt in receipts], offered


@pytest.mark.parametrize(("trouble", "later"), [(b"refused", HeldBack), (b"unavailable", BrokerUnavailable)])
def test_nothing_is_stored_behind_one_of_its_topic_and_key_that_was_not(trouble: bytes, later: type) -> None:
    errors, offered = outcomes(
        *(("t", b"k", b"1"), ("t", b"k", trouble), ("t", b"k", b"2"), ("u", b"k", b"3"), ("t", b"l", b"4")),
        ("t", b"k", b"5"),
    )
    assert errors == [type(None), type(ANSWERS[trouble]), later, type(None), type(None), later]
    assert offered == [b"1", trouble, b"3", b"4"]


@pytest.mark.parametrize("trouble", [b"refused", b"unavailable"])
def test_without_a_key_nothing_is_behind_another(trouble: bytes) -> None:
    errors, _ = outcomes(("t", None, trouble), ("t", None, b"1"))
    assert errors == [type(ANSWERS[trouble]), type(None)]


def test_an_empty_key_is_a_key() -> None:
    errors, _ = outcomes(("t", b"", b"refused"), ("t", b"", b"1"))
    assert errors == [MessageRefused, HeldBack]


@pytest.mark.parametrize("value", [Record(topic="t"), Receipt()])
def test_what_is_sent_and_what_became_of_it_cannot_be_changed(value: Record | Receipt) -> None:
    with pytest.raises(AttributeError):
        value.partition = 1  # type: ignore[misc]
