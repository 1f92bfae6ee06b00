import json

import pytest
from django.core import serializers
from django.db import connection, connections

from django_dlq.models import DeadLetter, OutboxMessage
from tests.letters import consumer_letter

HEADERS = (("ü", b"text"), ("ü", b"\x00\xff"), ("absent", None), ("empty", b""), ("json", b'["x",null]'))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers", [(), HEADERS, (("a", b"1"),) * 1000, (("nul\x00", b"1"), ("nul\\x00", b"\xff"), ("\ud800\x00", None))]
)
def test_headers_come_back_exactly_as_they_were_written(headers):
    consumer_letter(headers=headers)

    assert DeadLetter.objects.get().headers == headers
    assert DeadLetter.objects.values_list("headers", flat=True).get() == headers


@pytest.mark.django_db
def test_a_letter_survives_dumping_and_loading():
    letter = consumer_letter(headers=HEADERS, body=b"\x00\xff", raw_key=b"\xff", key="\\xff")
    dumped = serializers.serialize("json", [letter])
    letter.delete()
    for loaded in serializers.deserialize("json", dumped):
        loaded.save()

    loaded = DeadLetter.objects.get()
    assert (loaded.headers, loaded.body_bytes, loaded.key_bytes) == (HEADERS, b"\x00\xff", b"\xff")


@pytest.mark.once
def test_headers_default_to_none_at_all():
    assert OutboxMessage().headers == ()
    assert OutboxMessage._meta.get_field("headers").to_python(HEADERS) == HEADERS


@pytest.mark.django_db
@pytest.mark.parametrize("other", ["ORDERS", "orders ", "örders"])
def test_topics_that_look_alike_are_different(other):
    consumer_letter(topic="orders", message_key="1")
    consumer_letter(topic=other, message_key="2")

    assert DeadLetter.objects.filter(topic="orders").count() == 1
    assert DeadLetter.objects.filter(topic=other).count() == 1


@pytest.mark.django_db
def test_the_collation_compares_bytes_where_the_default_does_not():
    field = DeadLetter._meta.get_field("topic")

    collation = field.db_parameters(connection).get("collation")
    assert collation == {"mysql": "utf8mb4_nopad_bin", "postgresql": "C"}.get(connection.vendor)


@pytest.mark.once
@pytest.mark.parametrize(("is_mariadb", "collation"), [(True, "utf8mb4_nopad_bin"), (False, "utf8mb4_0900_bin")])
def test_mysql_has_another_name_for_it_than_mariadb(monkeypatch, is_mariadb, collation):
    monkeypatch.setattr(connections["default"], "vendor", "mysql")
    monkeypatch.setattr(connections["default"], "mysql_is_mariadb", is_mariadb, raising=False)

    assert DeadLetter._meta.get_field("topic").db_parameters(connections["default"])["collation"] == collation


@pytest.mark.once
def test_headers_look_in_the_database_as_they_are_documented():
    letter = DeadLetter(headers=(("a", b"ok"), ("b", None), ("c", b"\xff"), ("d\x00", None)))
    field = DeadLetter._meta.get_field("headers")

    assert json.loads(field.value_to_string(letter)) == [
        ["a", "ok"], ["b", None], ["c", "\\xff", "/w=="], ["d\\x00", None, None, "ZAA="],
    ]  # fmt: skip
