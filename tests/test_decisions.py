import pytest
from django.contrib.auth.models import User

from django_dlq import decisions, outbox
from django_dlq.exceptions import DecidedOtherwise, IllegalTransition, ReasonRequired
from django_dlq.models import Answer, HalfMessage, HalfState, OutboxMessage
from tests.half_messages import answering, due

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_checkers")]


def undecided():
    answering()
    (half,) = due()
    HalfMessage.objects.filter(pk=half.pk).update(state=HalfState.UNDECIDED, checks=15, next_check_at=None)
    return outbox.half(half.message_id)


def test_a_person_commits_with_name_and_reason():
    half = undecided()

    row = decisions.commit(half, actor=User(username="ann"), reason=" the statement has it ")
    assert row.message_id == half.message_id
    found = outbox.half(half.message_id)
    assert (found.state, found.decided_by, found.actor_name, found.reason) == (
        "committed", "person", "ann", "the statement has it",
    )  # fmt: skip


def test_a_person_rolls_back_and_the_process_cannot_commit_any_more():
    half = undecided()
    decisions.rollback(half, actor="a script", reason="refused")

    with pytest.raises(DecidedOtherwise, match="rolled back by person"):
        outbox.half(half.message_id).commit()
    assert not OutboxMessage.objects.exists()


def test_a_person_has_it_asked_again_and_the_timeline_says_so():
    half = undecided()
    decisions.ask_again(half, actor="ann", reason="the gateway is back")

    line = half.timeline.get()
    assert (line.answer, line.owner, line.error_message) == (Answer.ASKED_AGAIN, "ann", "the gateway is back")
    assert (half.state, half.checks) == (HalfState.PREPARED, 0)


@pytest.mark.parametrize("act", [decisions.commit, decisions.rollback, decisions.ask_again])
def test_each_act_needs_a_reason(act):
    half = undecided()

    with pytest.raises(ReasonRequired):
        act(half, actor="ann", reason=" \n")
    assert outbox.half(half.message_id).state == HalfState.UNDECIDED


@pytest.mark.parametrize("act", [decisions.commit, decisions.rollback])
def test_who_comes_second_is_told(act):
    half = undecided()
    act(half, actor="ann", reason="first")

    with pytest.raises(IllegalTransition, match="before"):
        act(half, actor="bob", reason="second")
    assert outbox.half(half.message_id).actor_name == "ann"
