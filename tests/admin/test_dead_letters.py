import pytest
from django.urls import reverse

from django_dlq.models import DeadLetter, OutboxMessage, State
from tests.admin.factories import EVERY_VERB, letter, person

pytestmark = [pytest.mark.django_db, pytest.mark.once]

LIST = "/admin/django_dlq/deadletter/"


@pytest.fixture
def staff(client):
    client.force_login(person(*EVERY_VERB))
    return client


def shown(response):
    return {row.message_key for row in response.context["cl"].result_list}


def test_the_list_shows_what_needs_a_person(staff):
    dead, settled = letter(), letter(state=State.RESOLVED)
    assert shown(staff.get(LIST)) == {dead.message_key}
    assert shown(staff.get(LIST, {"state": "resolved"})) == {settled.message_key}
    assert shown(staff.get(LIST, {"state": "all"})) == {dead.message_key, settled.message_key}


def test_a_state_that_does_not_exist_shows_nothing_rather_than_everything(staff):
    letter()
    assert shown(staff.get(LIST, {"state": "undead"})) == set()


def test_the_states_are_counted(staff):
    letter(), letter(), letter(state=State.DISCARDED)
    page = staff.get(LIST).content.decode()
    assert "dead (2)" in page
    assert "discarded (1)" in page


def test_nothing_needs_you_differs_from_nothing_matches(staff):
    assert "Nothing needs you" in staff.get(LIST).content.decode()
    letter()
    page = staff.get(LIST, {"q": "no-such-key"}).content.decode()
    assert "Nothing matches" in page
    assert "Nothing needs you" not in page


def test_a_search_finds_the_whole_value_before_its_beginnings(staff):
    for key in ("order-a", "order-ab", "other"):
        letter(message_key=key)
    assert shown(staff.get(LIST, {"q": "order-a"})) == {"order-a"}
    assert shown(staff.get(LIST, {"q": "order-a*"})) == {"order-a", "order-ab"}
    assert shown(staff.get(LIST, {"q": "order-"})) == {"order-a", "order-ab"}


@pytest.mark.parametrize(("column", "value"), [("message_id", "m-1"), ("key", "customer-1")])
def test_a_search_finds_message_ids_and_keys(staff, column, value):
    letter()
    other = letter(key=b"customer-1", message_id="m-1")
    assert shown(staff.get(LIST, {"q": value})) == {other.message_key}, column


def test_the_list_takes_as_many_queries_for_fifty_letters_as_for_five(staff, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for _ in range(5):
        letter()
    staff.get(LIST)
    with CaptureQueriesContext(
        connection,
    ) as few:
        staff.get(LIST)
    for _ in range(45):
        letter()
    with django_assert_num_queries(len(few)):
        response = staff.get(LIST)
    assert len(response.context["cl"].result_list) == 50


def test_the_list_leaves_bodies_in_the_database(staff):
    letter()
    (row,) = staff.get(LIST).context["cl"].result_list
    assert row.get_deferred_fields() >= {"body", "headers", "traceback"}


def page_of(client, row):
    return client.get(reverse("admin:django_dlq_deadletter_change", args=[row.pk]))


def test_the_page_shows_what_went_wrong_the_message_and_the_timeline(staff):
    page = page_of(staff, letter(message_key="order-x")).content.decode()
    for part in ("order-x", "shop.logistics.LogisticsDown", "second line", "Traceback (most recent", "zoe@example.com"):
        assert part in page
    assert page.count("<bdi>trace</bdi>") == 2


def test_who_may_not_unmask_sees_masks_and_which_permission_removes_them(client):
    client.force_login(person())
    page = page_of(client, letter()).content.decode()
    assert "zoe@example.com" not in page
    assert "•••" in page
    assert "django_dlq.unmask_deadletter" in page


def test_an_act_that_the_state_forbids_is_disabled_and_says_why(staff):
    response = page_of(staff, letter(state=State.DISCARDED))
    why_not = {button.name: button.why_not for button in response.context["buttons"]}
    assert why_not["restore"] == ""
    assert "this one is discarded" in why_not["replay"]
    assert why_not["replay"] in response.content.decode()


def test_an_act_that_the_person_may_not_do_is_disabled_and_says_why(client):
    client.force_login(person("replay"))
    row = letter()
    why_not = {button.name: button.why_not for button in page_of(client, row).context["buttons"]}
    assert why_not["replay"] == ""
    assert why_not["edit"] == "you need the permission django_dlq.edit_deadletter, django_dlq.unmask_deadletter"
    listed = client.get(LIST).content.decode()
    assert "you need the permission django_dlq.discard_deadletter" in listed
    assert 'value="0">Replay…' in listed


def test_who_may_only_view_sees_every_act_disabled(client):
    client.force_login(person())
    letter()
    page = client.get(LIST).content.decode()
    assert page.count('aria-disabled="true"') == 3
    assert "action-select" not in page


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


@pytest.mark.parametrize(("index", "verb"), enumerate(["replay", "discard", "restore"]))
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
    monkeypatch.setattr("django_dlq.admin.dead_letters.MOST_LETTERS", 1)
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
    from django.db import OperationalError

    from django_dlq import deadletters
    from django_dlq.admin import verbs

    rows = [letter(), letter(), letter()]

    def replay(row, **more):
        if row.pk == rows[1].pk:
            raise OperationalError("gone")
        deadletters.replay(row, **more)

    monkeypatch.setitem(verbs.ACTS, "replay", replay)
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


def test_letters_with_the_same_cause_are_one_click_away(staff):
    row, same = letter(fingerprint="a" * 32), letter(fingerprint="a" * 32, state=State.RESOLVED)
    letter(fingerprint="b" * 32)
    same_cause = page_of(staff, row).context["same_cause"]
    assert same_cause["count"] == 1
    assert shown(staff.get(same_cause["url"])) == {row.message_key, same.message_key}


def test_where_the_message_key_is_elsewhere_is_told_to_who_may_see_it(client, admin_client):
    from django_dlq.models import InboxMessage

    row = letter(message_key="order-1")
    InboxMessage.objects.create(group="billing", message_key="order-1", message_id="1", topic="orders")
    assert [place["found"] for place in page_of(admin_client, row).context["elsewhere"]] == [0, 0, "billing"]
    client.force_login(person())
    assert page_of(client, row).context["elsewhere"] == []


@pytest.mark.parametrize(("state", "words"), [(State.RETRYING, "tried again by itself"), (State.REPLAYING, "awaited")])
def test_the_page_says_what_to_do_now(staff, state, words):
    assert words in page_of(staff, letter(state=state)).content.decode()


def test_a_binary_body_is_hidden_from_who_may_not_unmask(client):
    client.force_login(person())
    page = page_of(client, letter(body=b"\xff hunter2")).content.decode()
    assert "The body is hidden" in page
    assert "hunter2" not in page
