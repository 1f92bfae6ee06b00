import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission

from django_dlq import outbox, switches
from django_dlq.models import OutboxMessage, Pause, State
from tests.admin.factories import letter, person

pytestmark = [pytest.mark.django_db, pytest.mark.once]

LIST = "/admin/django_dlq/pause/"
ADD = f"{LIST}add/"
OUTBOX = "/admin/django_dlq/outboxmessage/"
LETTERS = "/admin/django_dlq/deadletter/"
EVERY = ("view_pause", "add_pause", "delete_pause")


def may(user, *names):
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return user


@pytest.fixture
def staff(client):
    """Sign in somebody who may see, pause and resume."""
    client.force_login(may(person(name="ops"), *EVERY, "view_outboxmessage"))
    return client


def paused(**thing):
    thing = thing or {"topic": "orders"}
    return switches.pause(**thing, actor="ana", reason="wrong <b>totals</b>")[0]


def resume_url(pause):
    return f"{LIST}{pause.pk}/delete/"


def content(response):
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({"scope": "topic", "topic": " orders "}, "topic orders"),
        ({"scope": "key", "topic": "orders", "key": " 42"}, "key orders  42"),
        ({"scope": "broker", "broker": "default"}, "broker default"),
    ],
)
def test_a_form_pauses_what_it_names_with_the_persons_name(staff, form, name):
    done = staff.post(ADD, form | {"reason": "wrong totals"}, follow=True)

    pause = Pause.objects.get()
    assert (str(pause), pause.reason) == (name, "wrong totals")
    assert pause.actor_name.startswith("ops-")
    assert f"Paused: {' '.join(name.split())}." in content(done)
    assert f'paused <span class="dlq-quiet">by <bdi>{pause.actor_name}</bdi>' in content(done)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"scope": "topic"}, "topic"),
        ({"scope": "topic", "topic": "orders", "key": "42"}, "key"),
        ({"scope": "topic", "topic": "orders", "broker": "default"}, "broker"),
        ({"scope": "topic", "topic": "t" * 256}, "topic"),
        ({"scope": "key", "topic": "orders"}, "key"),
        ({"scope": "key", "topic": "orders", "key": "a\x00"}, "key"),
        ({"scope": "broker"}, "broker"),
        ({"scope": "broker", "broker": "other"}, "broker"),
        ({"scope": "broker", "broker": "default", "topic": "orders"}, "topic"),
        ({"scope": "everything", "topic": "orders"}, "scope"),
        ({"scope": "topic", "topic": "orders", "reason": " "}, "reason"),
    ],
)
def test_a_form_that_is_not_clear_pauses_nothing(staff, form, field):
    answer = staff.post(ADD, {"reason": "wrong totals"} | form)

    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert "Nothing was paused" in content(answer)
    assert not Pause.objects.exists()


def test_what_the_switch_refuses_is_told_on_the_form(staff, settings):
    settings.DLQ_OUTBOX_RETENTION = timedelta(days=1)
    answer = staff.post(ADD, {"scope": "topic", "topic": "orders", "reason": "wrong totals"})

    assert "pause its connector in Kafka Connect" in content(answer)
    assert 'value="orders"' in content(answer)
    assert not Pause.objects.exists()


def test_what_is_paused_already_is_told_with_the_name_of_who_was_faster(staff):
    paused()
    done = staff.post(ADD, {"scope": "topic", "topic": "orders", "reason": "me too"}, follow=True)

    assert "Paused already by ana: topic orders. Nothing was changed." in content(done)


def test_looking_does_nothing_and_an_address_may_fill_in_the_form(staff):
    page = staff.get(ADD, {"scope": "key", "topic": "orders", "key": "42", "reason": "why not"})
    assert not Pause.objects.exists()
    assert 'value="42"' in content(page)

    pause = paused()
    assert "wrong &lt;b&gt;totals" in content(staff.get(resume_url(pause)))
    assert Pause.objects.get() == pause


def test_the_list_says_what_is_paused_by_whom_why_and_how_much_waits(staff):
    assert "Nothing is paused" in content(staff.get(LIST))
    paused(topic="orders", key="42")
    for key in ("42", "42", "7"):
        outbox.publish("orders", {}, key=key)
    page = content(staff.get(LIST))

    assert re.search(r'class="field-waits[^>]*>2<', page)
    for word in ("orders", "key 42", "wrong &lt;b&gt;totals", "by ana", "just now", "Resume…", "Pause something…"):
        assert word in page
    shown = content(staff.get(f"{LIST}{Pause.objects.get().pk}/change/"))
    for word in ("orders", "42", "wrong &lt;b&gt;totals", "ana", "Resume…"):
        assert word in shown


def test_the_list_takes_as_many_queries_for_many_pauses_as_for_one(staff, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    paused()
    staff.get(LIST)  # content types are remembered from the first page of a process on
    with CaptureQueriesContext(connection) as few:
        staff.get(LIST)
    for number in range(10):
        paused(topic=f"orders-{number}")
    with django_assert_num_queries(len(few)):
        staff.get(LIST)


def test_resuming_asks_why_and_the_history_keeps_who_did_it(staff):
    pause = paused()
    asked = staff.post(resume_url(pause), {"reason": " "})
    assert asked.context["form"].errors["reason"]
    assert Pause.objects.exists()

    done = content(staff.post(resume_url(pause), {"reason": "mended & tested"}, follow=True))
    assert not Pause.objects.exists()
    assert "Resumed: topic orders." in done
    assert re.search(r"resumed <span[^>]*>by <bdi>ops-.*?mended &amp; tested", done)


def test_what_somebody_else_has_resumed_is_told_and_nothing_is_changed(staff, monkeypatch):
    pause = paused()
    monkeypatch.setattr("django_dlq.switches.resume", lambda **_: None)
    gone = "It is not paused any more. Nothing was changed."
    assert gone in content(staff.post(resume_url(pause), {"reason": "mended"}, follow=True))
    assert gone in content(staff.get(f"{LIST}999/delete/", follow=True))


@pytest.mark.parametrize("missing", EVERY)
def test_each_act_is_refused_without_its_permission(client, missing):
    pause = paused()
    client.force_login(may(person(), *set(EVERY) - {missing}))
    page = client.get(LIST)
    assert (page.status_code == 403) is (missing == "view_pause")
    for url, needs in ((ADD, "add_pause"), (resume_url(pause), "delete_pause")):
        refused = missing in ("view_pause", needs)
        assert (client.get(url).status_code == 403) is refused
        if refused:
            assert client.post(url, {"scope": "topic", "topic": "x", "reason": "why not"}).status_code == 403
    assert list(Pause.objects.all()) == [pause]
    if missing != "view_pause":
        assert ("Pause something…" in content(page)) is (missing != "add_pause")
        assert ("Resume…" in content(page)) is (missing != "delete_pause")


@pytest.mark.parametrize("page", ["add", "resume"])
def test_a_forged_request_is_refused(page, admin_user):
    from django.test import Client

    pause = paused()
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    url = ADD if page == "add" else resume_url(pause)
    assert client.post(url, {"scope": "topic", "topic": "x", "reason": "why not"}).status_code == 403
    assert list(Pause.objects.all()) == [pause]


def test_above_the_outbox_stands_what_keeps_messages_there(staff):
    assert "dlq-stopped" not in content(staff.get(OUTBOX))
    for number in range(6):
        paused(topic=f"orders-<{number}>")
    letter(holds_key=True)
    page = content(staff.get(OUTBOX))

    assert "topic orders-&lt;4&gt;</bdi>, …" in page
    assert "orders-&lt;5&gt;" not in page
    assert f'href="{LIST}"' in page
    assert "Dead letters that hold their keys: 1." in page
    assert f"{LETTERS}?holds_key__exact=1" not in page  # this person may not see letters


class TestHeldKeys:
    @pytest.fixture
    def staff(self, client):
        client.force_login(may(person(), "view_deadletter", "view_outboxmessage"))
        return client

    def test_the_page_of_a_letter_says_how_many_wait_behind_it(self, staff):
        row = letter(holds_key=True)
        columns = {"topic": row.topic, "message_id": "m", "message_key": "m"}
        for key, letter_id in ((row.key, None), (row.key, None), (row.key, row.pk), ("other", None)):
            OutboxMessage.objects.create(key=key, letter_id=letter_id, **columns)

        assert "wait behind it in the outbox: 2." in content(staff.get(f"{LETTERS}{row.pk}/change/"))
        assert "holds its key" not in content(staff.get(f"{LETTERS}{letter().pk}/change/"))

    def test_the_list_shows_them_and_can_be_narrowed_to_them(self, staff):
        holding, _other = letter(holds_key=True, state=State.REPLAYING), letter()
        page = staff.get(LETTERS, {"holds_key__exact": "1", "state": "all"})

        assert [row.pk for row in page.context["cl"].result_list] == [holding.pk]
        assert re.search(r'dlq-quiet">holds its key<', content(page))

    def test_from_the_outbox_one_comes_to_them(self, staff):
        letter(holds_key=True)
        assert f"{LETTERS}?holds_key__exact=1&amp;state=all" in content(staff.get(OUTBOX))
