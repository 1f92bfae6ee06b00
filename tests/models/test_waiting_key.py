import pytest

from django_dlq.models import WaitingKey, order_key

pytestmark = pytest.mark.django_db


def test_a_key_waits_from_when_it_is_held_until_its_row_goes(django_assert_num_queries):
    assert WaitingKey.objects.lock("a") is None
    WaitingKey.objects.hold("b", "a")
    WaitingKey.objects.hold("a")

    assert WaitingKey.objects.among({"a", "b", "c"}) == {"a", "b"}
    assert str(WaitingKey.objects.lock("a")) == "a"
    WaitingKey.objects.lock("a").delete()
    assert WaitingKey.objects.among({"a", "b"}) == {"b"}
    with django_assert_num_queries(0):
        assert WaitingKey.objects.among(set()) == set()


def test_the_same_key_of_another_group_or_topic_is_another():
    keys = {
        order_key("shipping", "orders", b"A"),
        order_key("mails", "orders", b"A"),
        order_key("shipping", "parcels", b"A"),
        order_key("shipping", "orders", b""),
        order_key("shipping", "order", b"sA"),
    }
    assert len(keys) == 5
    assert {len(key) for key in keys} == {64}
    assert order_key("shipping", "orders", None) is None
