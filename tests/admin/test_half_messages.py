from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import OperationalError

from django_dlq.admin import HalfMessageAdmin
from django_dlq.admin.half_display import age_chart
from django_dlq.admin.half_verbs import COMMIT
from django_dlq.models import DecidedBy, HalfMessage, HalfMessageCheck, HalfState, OutboxMessage, in_future
from tests.admin.factories import person
from tests.half_messages import answering, due

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("no_checkers")]

LIST = "/admin/django_dlq/halfmessage/"
EVERY = ("commit", "rollback", "ask")
EVIL = "<script>alert(1)</script>"


def officer(*verbs, view=True):
    user = person(view=False)
    names = [f"{verb}_halfmessage" for verb in verbs] + ["view_halfmessage"] * view
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return user


@pytest.fixture
def staff(client):
    client.force_login(officer(*EVERY))
    return client


def half(*, state=HalfState.UNDECIDED, age=timedelta(minutes=5), **options):
    """Prepare one in a state, and of an age."""
    answering()
    (row,) = due(**options)
    HalfMessage.objects.filter(pk=row.pk).update(
        state=state,
        prepared_at=in_future(-age),
        decided_at=None if state in (HalfState.PREPARED, HalfState.UNDECIDED) else in_future(timedelta(0)),
    )
    return HalfMessage.objects.get(pk=row.pk)


def choose(client, verb, *rows, **more):
    data = {"action": f"{verb}_selected", "index": 0, "_selected_action": [row.pk for row in rows]}
    return client.post(LIST, data | more)


def test_the_list_shows_those_that_nobody_has_decided(staff):
    half(message_key="open", most_checks=3)
    half(message_key="waits", state=HalfState.PREPARED)
    half(message_key="done", state=HalfState.COMMITTED)
    page = staff.get(LIST).content.decode()
    assert "open" in page
    assert "15 left" in page
    assert ">done<" not in page
    assert ">done<" in staff.get(LIST + "?state=all").content.decode()
    assert ">done<" in staff.get(LIST + "?state=committed").content.decode()
    assert ">waits<" not in staff.get(LIST + "?state=nonsense").content.decode()


def test_what_nobody_can_be_asked_about_is_warned_of(staff, no_checkers):
    row = half(state=HalfState.PREPARED)
    no_checkers.by_name.clear()
    page = staff.get(LIST).content.decode()
    assert "Nobody can be asked about 1 half message" in page
    assert "not in this project" in page
    assert "this project has no checker of this name" in staff.get(f"{LIST}{row.pk}/change/").content.decode()


def test_a_half_message_shows_every_check_with_its_time_answer_and_error(staff):
    row = half(state=HalfState.PREPARED, key="7", delay=timedelta(minutes=3))
    HalfMessageCheck.objects.create(
        half=row, answer="unknown", seconds=1.25, owner="host:1:a", error_class="shop.Broken",
        error_message=EVIL, traceback=f"Traceback {EVIL}",
    )  # fmt: skip
    HalfMessageCheck.objects.create(half=row, answer="asked_again", owner="ann", error_message="it is back")
    page = staff.get(f"{LIST}{row.pk}/change/").content.decode()
    for text in ("host:1:a", "1.250 s", "shop.Broken", "asked again", "it is back", "0:03:00", "unknown"):
        assert text in page
    assert EVIL not in page
    assert "&lt;script&gt;" in page


def test_a_page_without_checks_says_so_and_many_are_cut(staff, monkeypatch):
    row = half()
    assert "Nobody has been asked yet." in staff.get(f"{LIST}{row.pk}/change/").content.decode()
    monkeypatch.setattr("django_dlq.admin.half_page.MOST_CHECKS", 1)
    for _ in range(2):
        HalfMessageCheck.objects.create(half=row, answer="lost", owner="host:1:a")
    assert "Older checks are not shown." in staff.get(f"{LIST}{row.pk}/change/").content.decode()


def test_a_decided_one_says_who_and_why(staff):
    row = half()
    row.rollback(by=DecidedBy.PERSON, actor_name="ann", reason=EVIL)
    page = staff.get(f"{LIST}{row.pk}/change/").content.decode()
    assert "a person ann" in page
    assert EVIL not in page
    assert "only for half messages that are prepared or undecided; this one is rolled back" in page


def test_bodies_are_masked_for_who_may_not_see_them(client):
    client.force_login(officer(*EVERY))
    row = half()
    HalfMessage.objects.filter(pk=row.pk).update(body=b'{"email":"zoe@example.com"}')
    page = client.get(f"{LIST}{row.pk}/change/").content.decode()
    assert "zoe@example.com" not in page
    assert "•••" in page


@pytest.mark.parametrize(
    ("verb", "state"), [("commit", "committed"), ("rollback", "rolled_back"), ("ask_again", "prepared")]
)
def test_an_act_asks_first_and_then_does_it_with_name_and_reason(staff, verb, state):
    rows = [half(), half()]
    asked = choose(staff, verb, *rows)
    assert asked.context["count"] == 2
    assert {row.state for row in HalfMessage.objects.all()} == {HalfState.UNDECIDED}
    form = {"ids": asked.context["form"]["ids"].value(), "filters": "state=all", "reason": "I have looked"}
    done = staff.post(asked.context["action"], form)
    assert done.url == LIST + "?state=all"
    assert {row.state for row in HalfMessage.objects.all()} == {state}
    assert OutboxMessage.objects.count() == (2 if verb == "commit" else 0)
    assert "2 half messages" in staff.get(done.url).content.decode()


def test_without_a_reason_nothing_is_done(staff):
    row = half()
    answer = staff.post(f"{LIST}confirm/commit/", {"ids": row.pk, "reason": " "})
    assert answer.context["form"].errors["reason"]
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize(("verb", "permission"), [("commit", "commit"), ("rollback", "rollback"), ("ask_again", "ask")])
def test_each_act_is_refused_without_its_permission(client, verb, permission):
    client.force_login(officer(*set(EVERY) - {permission}))
    row = half()
    assert client.get(f"{LIST}{row.pk}/{verb}/").status_code == 403
    assert client.post(f"{LIST}confirm/{verb}/", {"ids": row.pk, "reason": "because"}).status_code == 403
    choose(client, verb, row)
    row.refresh_from_db()
    assert row.state == HalfState.UNDECIDED
    assert f"you need the permission django_dlq.{permission}_halfmessage" in client.get(LIST).content.decode()


def test_the_permission_to_act_alone_is_not_enough(client):
    client.force_login(officer(*EVERY, view=False))
    row = half()
    assert client.get(LIST).status_code == 403
    assert client.get(f"{LIST}{row.pk}/commit/").status_code == 403
    assert client.post(f"{LIST}confirm/commit/", {"ids": row.pk, "reason": "because"}).status_code == 403


def test_getting_a_page_decides_nothing(staff):
    row = half()
    assert staff.get(f"{LIST}{row.pk}/commit/?_changelist_filters=state%3Dall").status_code == 200
    assert staff.get(f"{LIST}confirm/commit/").status_code == 302
    row.refresh_from_db()
    assert row.state == HalfState.UNDECIDED


def test_what_does_not_exist_is_not_found(staff):
    assert staff.get(f"{LIST}confirm/delete/").status_code == 404
    assert staff.get(f"{LIST}999/commit/").status_code == 404


def test_what_is_gone_or_decided_meanwhile_is_skipped_and_said_so(staff):
    row, late = half(), half()
    asked = choose(staff, "commit", row, late)
    late.rollback(by=DecidedBy.CHECK)
    done = staff.post(asked.context["action"], {"ids": f"{row.pk},{late.pk},999", "reason": "because"})
    page = staff.get(done.url).content.decode()
    assert "1 half message committed." in page
    assert "Skipped: 2." in page
    assert "so it is too late to commit it" in page
    assert "half message 999 is gone" in page


def test_those_that_cannot_be_decided_are_shown_as_skipped(staff):
    rows = [half(), half(state=HalfState.COMMITTED)]
    page = staff.post(f"{LIST}confirm/rollback/", {"ids": f"{rows[0].pk},{rows[1].pk}", "reason": ""}).content.decode()
    assert "1 of your choice is in a state that does not allow this, and is skipped." in page
    none = staff.get(f"{LIST}{rows[1].pk}/commit/").content.decode()
    assert "None of these half messages is in a state that allows this." in none


def test_a_database_that_fails_in_the_middle_is_told_and_the_rest_not_tried(staff, monkeypatch):
    rows = [half(), half()]

    def broken(*_, **__):
        raise OperationalError("gone")

    monkeypatch.setattr(HalfMessageAdmin, "verbs", [replace(COMMIT, act=broken)])
    ids = ",".join(str(row.pk) for row in rows)
    done = staff.post(f"{LIST}confirm/commit/", {"ids": ids, "reason": "because"})
    assert "Not tried: 2." in staff.get(done.url).content.decode()


def test_too_many_are_refused_and_nothing_is_done(staff, monkeypatch):
    monkeypatch.setattr("django_dlq.admin.choosing.MOST_CHOSEN", 1)
    refused = choose(staff, "commit", half(), half())
    assert refused.status_code == 302
    assert not OutboxMessage.objects.exists()


def test_the_chart_counts_the_undecided_by_age(staff):
    assert age_chart() is None
    for hours in (0.5, 0.6, 2, 12, 48, 1000):
        half(age=timedelta(hours=hours))
    half(state=HalfState.PREPARED)
    chart = age_chart()
    assert [bar["count"] for bar in chart["bars"]] == [2, 1, 1, 1, 1]
    assert [bar["width"] for bar in chart["bars"]] == [300, 150, 150, 150, 150]
    page = staff.get(LIST).content.decode()
    assert 'aria-label="Undecided by age. up to 1 hour: 2' in page
    assert "style=" not in page[page.index("<svg role") : page.index("</svg>", page.index("<svg role"))]
