import pytest
from django.contrib.auth.models import User

from django_dlq.exceptions import IllegalTransition
from django_dlq.models import DeadLetterEvent, Kind
from tests.letters import consumer_letter

pytestmark = pytest.mark.django_db


def note(kind=Kind.REPLAYED, actor="a program", **rest):
    return DeadLetterEvent.objects.note(consumer_letter(), kind, actor=actor, **rest)


def test_a_line_is_never_changed():
    note(reason="because")
    event = DeadLetterEvent.objects.get()
    event.reason = "something else"

    with pytest.raises(IllegalTransition, match="never changed"):
        event.save()
    with pytest.raises(IllegalTransition):
        event.save(update_fields=["reason"])
    assert DeadLetterEvent.objects.get().reason == "because"


def test_a_line_that_was_just_written_is_not_changed_either():
    note()
    with pytest.raises(IllegalTransition):
        DeadLetterEvent.objects.get().save()


def test_the_name_outlives_the_account():
    user = User.objects.create_user("ana")
    note(actor=user)
    assert DeadLetterEvent.objects.get().actor == user
    user.delete()

    event = DeadLetterEvent.objects.get()
    assert (event.actor, event.actor_name) == (None, "ana")


def test_a_program_has_a_name_and_no_account():
    note(actor="nightly job", reason="  spaces around  ", data={"n": 1})

    event = DeadLetterEvent.objects.get()
    assert (event.actor, event.actor_name, event.reason, event.data) == (None, "nightly job", "spaces around", {"n": 1})
    assert event.at is not None
    assert str(event) == f"{event.letter_id} replayed"


def test_lines_come_in_the_order_in_which_they_were_written():
    letter = consumer_letter()
    for kind in (Kind.FAILED, Kind.DISCARDED, Kind.RESTORED):
        DeadLetterEvent.objects.note(letter, kind, actor="a program")

    assert [event.kind for event in letter.events.all()] == ["failed", "discarded", "restored"]


def test_the_timeline_goes_with_its_letter():
    note().letter.delete()

    assert not DeadLetterEvent.objects.exists()


def test_text_of_every_language_is_kept():
    note(data={"error_message": "grüße 😀 \\x00"}, reason="été")

    event = DeadLetterEvent.objects.get()
    assert (event.data, event.reason) == ({"error_message": "grüße 😀 \\x00"}, "été")
