import pytest
from django.db import transaction

from django_dlq.models import in_own_transaction


@pytest.mark.django_db
def test_the_transaction_around_a_test_is_nobodys_own():
    assert not in_own_transaction("default")
    with transaction.atomic():
        assert in_own_transaction("default")


@pytest.mark.django_db(transaction=True)
def test_outside_there_is_none():
    assert not in_own_transaction("default")


@pytest.mark.django_db(transaction=True)
def test_without_autocommit_there_is_always_one():
    transaction.set_autocommit(False)
    try:
        assert in_own_transaction("default")
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
