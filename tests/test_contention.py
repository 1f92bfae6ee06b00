import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, transaction

from django_dlq.contention import FIRST_REST, MOST_TIMES, is_contention, over_contention

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_meets_others_is_done_again_after_longer_and_longer_rests(rests):
    calls = []

    def handle():
        calls.append(1)
        if len(calls) < MOST_TIMES:
            raise OperationalError(1213, "Deadlock found")
        return "done"

    assert over_contention(handle, using="default") == "done"
    assert len(rests) == MOST_TIMES - 1
    for number, rest in enumerate(rests):
        assert FIRST_REST * 2**number / 2 <= rest <= FIRST_REST * 2**number


def test_what_happens_in_a_transaction_of_somebody_else_is_not_tried_again(rests):
    calls = []

    def handle():
        calls.append(1)
        raise OperationalError(1213, "Deadlock found")

    with transaction.atomic(), pytest.raises(OperationalError):
        over_contention(handle, using="default")
    assert calls == [1]


@pytest.mark.parametrize(
    "error", [ValueError(1213), IntegrityError(1062, "Duplicate entry"), DatabaseError()], ids=repr
)
def test_any_other_error_is_raised_at_once(rests, error):
    def handle():
        raise error

    with pytest.raises(type(error)):
        over_contention(handle, using="default")
    assert rests == []
    assert not is_contention(error)
