import pytest
from django.db.models import Q

from django_dlq.models import OutboxMessage, behind, count_waiting, is_known
from tests.letters import relay_letter

pytestmark = pytest.mark.django_db


def write(topic, key=None, **columns):
    number = OutboxMessage.objects.count()
    OutboxMessage.objects.create(topic=topic, key=key, message_id=str(number), message_key=str(number), **columns)


def test_all_conditions_are_counted_with_one_query(django_assert_num_queries):
    for topic in ("orders", "orders", "payments"):
        write(topic)

    with django_assert_num_queries(1):
        assert count_waiting(Q(topic="orders"), Q(topic="payments"), Q(topic="none")) == ["2", "1", "0"]
    with django_assert_num_queries(0):
        assert count_waiting() == []


def test_of_a_long_outbox_only_the_oldest_are_looked_at(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("django_dlq.models.waiting.MOST_COUNTED", 2)
    for topic in ("orders", "payments", "orders"):
        write(topic)

    with django_assert_num_queries(1) as captured:
        assert count_waiting(Q(topic="orders")) == ["1+"]
    sql = captured.captured_queries[0]["sql"]
    assert "LIMIT 2" in sql
    assert "body" not in sql


def test_behind_a_letter_wait_the_messages_of_its_topic_and_key_but_no_replay():
    letter = relay_letter(key="a")
    for topic, key, replayed in [
        ("orders", "a", None),
        ("orders", "a", letter.pk),
        ("orders", "A", None),
        ("orders", None, None),
        ("payments", "a", None),
    ]:
        write(topic, key, letter_id=replayed)

    assert count_waiting(behind(letter)) == ["1"]


def test_a_topic_is_looked_for_in_no_more_rows_than_a_command_can_afford(django_assert_num_queries):
    write("orders")

    assert is_known("orders")
    with django_assert_num_queries(2) as captured:
        assert not is_known("oders")
    assert all("LIMIT" in query["sql"] for query in captured.captured_queries)
