from dataclasses import replace

import pytest
from django.db import OperationalError

from django_dlq import deadletters
from django_dlq.admin import DeadLetterAdmin
from django_dlq.admin.letter_verbs import REPLAY
from django_dlq.models import DeadLetter, OutboxMessage, State
from tests.admin.factories import EVERY_VERB, letter, person

pytestmark = [pytest.mark.django_db, pytest.mark.once]

LIST = "/admin/django_dlq/deadletter/"


def choose(client, verb, *rows, **more):
    data = {"action": f"{verb}_selected", "index": 0, "_selected_action": [row.pk for row in rows]}
    return client.post(LIST + "?source=consumer", data | more)


def test_replaying_a_choice_asks_first_and_then_does_it(staff):
    rows = [letter(), letter()]
    asked = choose(staff, "replay", *rows)
    assert asked.context["count"] == 2
    assert not OutboxMessage.objects.exists()
    form = asked.context["form"]
    done = staff.post(asked.context["action"], {"ids": form["ids"].value(), "filters": form["filters"].value()})
    assert done.status_code == 302
    assert done.url == LIST + "?source=consumer"
    assert OutboxMessage.objects.count() == 2
    assert "2 letters replayed." in staff.get(done.url).content.decode()


@pytest.mark.parametrize(("index", "verb"), list(enumerate(["replay", "discard", "restore"])))
def test_the_button_pressed_decides_which_act_is_asked_about(staff, index, verb):
    row = letter()
    data = {"action": ["replay_selected", "discard_selected", "restore_selected"], "_selected_action": [row.pk]}
    assert staff.post(LIST, data | {"index": index}).context["verb"].name == verb


def test_select_all_is_pinned_when_it_is_asked_about(staff):
    rows = [letter(), letter()]
    asked = choose(staff, "replay", rows[0], select_across=1)
    late = letter()
    staff.post(asked.context["action"], {"ids": asked.context["form"]["ids"].value()})
    assert DeadLetter.objects.get(pk=late.pk).state == State.DEAD
    assert {DeadLetter.objects.get(pk=row.pk).state for row in rows} == {State.REPLAYING}


def test_too_many_letters_are_refused_and_nothing_is_done(staff, monkeypatch):
    monkeypatch.setattr("django_dlq.admin.choosing.MOST_CHOSEN", 1)
    rows = [letter(), letter()]
    refused = choose(staff, "replay", *rows)
    assert refused.status_code == 302
    assert "nothing was done" in staff.get(refused.url).content.decode()


def test_a_letter_whose_state_changed_is_skipped_and_said_so(staff):
    rows = [letter(), letter()]
    ids = ",".join(str(row.pk) for row in rows)
    DeadLetter.objects.filter(pk=rows[0].pk).update(state=State.RESOLVED)
    done = staff.post(f"{LIST}confirm/replay/", {"ids": ids})
    page = staff.get(done.url).content.decode()
    assert "1 letter replayed." in page
    assert "1 letter skipped" in page
    assert "is resolved, so it is too late" in page


def test_a_discard_without_a_reason_asks_for_it_and_does_nothing(staff):
    row = letter()
    answer = staff.post(f"{LIST}confirm/discard/", {"ids": row.pk, "reason": " "})
    assert answer.status_code == 200
    assert answer.context["form"].errors["reason"]
    row.refresh_from_db()
    assert row.state == State.DEAD


def test_the_timeline_names_the_person_and_the_reason(client):
    user = person("discard")
    client.force_login(user)
    row = letter()
    client.post(f"{LIST}confirm/discard/", {"ids": row.pk, "reason": "a test order"})
    event = row.events.last()
    assert (event.kind, event.actor, event.reason) == ("discarded", user, "a test order")


@pytest.mark.parametrize("verb", ["replay", "discard", "restore", "edit"])
def test_each_act_is_refused_without_its_permission(client, verb):
    client.force_login(person(*set(EVERY_VERB) - {verb}))
    row = letter()
    assert client.get(f"{LIST}{row.pk}/{verb}/").status_code == 403
    confirm = f"{LIST}{row.pk}/edit/" if verb == "edit" else f"{LIST}confirm/{verb}/"
    assert client.post(confirm, {"ids": row.pk, "reason": "because"}).status_code == 403
    if verb != "edit":
        choose(client, verb, row)
    row.refresh_from_db()
    assert row.state == State.DEAD


@pytest.mark.parametrize("verb", ["replay", "discard", "restore", "edit"])
def test_the_permission_to_act_alone_is_not_enough(client, verb):
    client.force_login(person(*EVERY_VERB, view=False))
    assert client.get(f"{LIST}{letter().pk}/{verb}/").status_code == 403


def test_getting_a_confirm_page_does_nothing(staff):
    row = letter()
    assert staff.get(f"{LIST}{row.pk}/replay/").status_code == 200
    assert staff.get(f"{LIST}confirm/replay/").status_code == 302
    row.refresh_from_db()
    assert row.state == State.DEAD


@pytest.mark.parametrize("ids", ["", "1,x", "9" * 30])
def test_damaged_lists_of_letters_do_nothing(staff, ids):
    row = letter()
    staff.post(f"{LIST}confirm/replay/", {"ids": ids})
    row.refresh_from_db()
    assert row.state == State.DEAD


def test_an_act_that_does_not_exist_is_not_found(staff):
    assert staff.get(f"{LIST}confirm/delete/").status_code == 404
    assert staff.get(f"{LIST}999/replay/").status_code == 404


def test_a_database_that_fails_in_the_middle_is_told_and_the_rest_not_tried(staff, monkeypatch):
    rows = [letter(), letter(), letter()]

    def replay(row, **more):
        if row.pk == rows[1].pk:
            raise OperationalError("gone")
        deadletters.replay(row, **more)

    monkeypatch.setattr(DeadLetterAdmin, "verbs", [replace(REPLAY, act=replay)])
    done = staff.post(f"{LIST}confirm/replay/", {"ids": ",".join(str(row.pk) for row in rows)})
    page = staff.get(done.url).content.decode()
    assert "1 letter replayed." in page
    assert "2 letters were not tried" in page
    assert [DeadLetter.objects.get(pk=row.pk).state for row in rows] == [State.REPLAYING, State.DEAD, State.DEAD]


def test_a_letter_that_retention_has_deleted_is_skipped(staff):
    done = staff.post(f"{LIST}confirm/replay/", {"ids": "999"})
    assert "dead letter 999 is gone" in staff.get(done.url).content.decode()


def test_more_letters_than_allowed_are_refused_in_a_forged_form_too(staff):
    answer = staff.post(f"{LIST}confirm/replay/", {"ids": ",".join(map(str, range(1001)))})
    assert answer.status_code == 200
    assert "nothing was done" in answer.content.decode()
