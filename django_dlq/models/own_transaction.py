"""Whose transaction it is that code runs in."""

from django.db import transaction


def in_own_transaction(using: str) -> bool:
    """Tell whether the caller is inside an atomic() of his own, or has switched autocommit off.

    The transaction around each test of a TestCase does not count, as for Django's own atomic(durable=True): what a test
    calls believes to be outside.
    """
    connection = transaction.get_connection(using)
    if connection.in_atomic_block:
        blocks = connection.atomic_blocks
        return not (blocks and blocks[-1]._from_testcase)
    return not connection.get_autocommit()
