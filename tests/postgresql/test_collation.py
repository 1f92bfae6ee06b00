"""Texts that are compared byte by byte can be found by how they begin."""

import pytest
from django.db import connection

from django_dlq.models import DeadLetter, InboxMessage, OutboxMessage, PublishedMessage
from django_dlq.models.fields import ExactCharField, ExactTextField
from tests.letters import consumer_letter

pytestmark = pytest.mark.django_db

MODELS = [DeadLetter, InboxMessage, OutboxMessage, PublishedMessage]


@pytest.mark.parametrize("model", MODELS)
def test_every_exact_column_is_ordered_by_bytes(model: type[DeadLetter]) -> None:
    exact = {f.column for f in model._meta.concrete_fields if isinstance(f, (ExactCharField, ExactTextField))}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND collation_name = 'C'",
            [model._meta.db_table],
        )
        assert {name for (name,) in cursor.fetchall()} == exact


@pytest.mark.parametrize("model", [DeadLetter, PublishedMessage, InboxMessage])
def test_what_begins_with_a_text_is_found_by_the_plain_index(model: type[DeadLetter]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    rows = model.objects.filter(message_key__startswith="order-7").order_by("message_key")

    assert "message_key >= 'order-7'" in rows.explain().replace("(", "").replace(")", "").replace("::text", "")


def test_order_and_filters_stay_right_with_texts_of_all_kinds() -> None:
    keys = ["B", "a", "order-7", "order-70", "ärger", "中", "%", "_x"]
    for key in keys:
        consumer_letter(message_key=key)
    letters = DeadLetter.objects.order_by("message_key")

    assert list(letters.values_list("message_key", flat=True)) == sorted(keys, key=str.encode)
    assert letters.filter(message_key__startswith="order-7").count() == 2
    assert letters.filter(message_key__istartswith="ORDER-7").count() == 2
    assert letters.filter(message_key__startswith="%").count() == 1
    assert letters.get(message_key="ärger")
