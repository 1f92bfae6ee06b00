import pytest
from django.urls import reverse

from django_dlq.admin import letter_page
from django_dlq.models import DeadLetterEvent, Kind, State, parked
from tests.admin.factories import letter, person

pytestmark = [pytest.mark.django_db, pytest.mark.once]

LIST = "/admin/django_dlq/deadletter/"


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


def test_the_page_of_a_compensated_letter_says_what_made_it_good_and_offers_no_act(staff):
    row = letter(state=State.COMPENSATED)
    DeadLetterEvent.objects.note(row, Kind.COMPENSATED, actor="consumer", data={"by": "shop.<handlers>.refund"})
    response = staff.get(reverse("admin:django_dlq_deadletter_change", args=[row.pk]))

    assert "shop.&lt;handlers&gt;.refund" in response.content.decode()
    assert all(button.why_not for button in response.context["buttons"])


def line_of_letters(parked):
    first = letter(order_key="o")
    return first, [
        letter(state=State.PARKED, order_key="o", error_class="", error_message="", traceback="", fingerprint="")
        for _ in range(parked)
    ]


def test_a_letter_says_how_many_wait_behind_it(staff):
    first, parked = line_of_letters(3)
    letter(state=State.PARKED, order_key="another")

    assert "parked behind it: 3." in page_of(staff, first).content.decode()
    page = page_of(staff, parked[0]).content.decode()
    assert "parked behind it: 2." in page
    assert "parked behind it" not in page_of(staff, parked[2]).content.decode()


def test_many_that_wait_are_counted_up_to_a_bound(staff, monkeypatch):
    monkeypatch.setattr(parked, "MOST_COUNTED", 2)
    monkeypatch.setattr(letter_page, "MOST_COUNTED", 2)
    first, _ = line_of_letters(4)

    assert "parked behind it: 2+." in page_of(staff, first).content.decode()


def test_a_parked_letter_leads_to_the_one_that_it_waits_for_and_can_only_be_discarded(staff):
    first, (second,) = line_of_letters(1)
    DeadLetterEvent.objects.note(second, Kind.PARKED, actor="consumer", data={"behind": first.pk})
    response = page_of(staff, second)
    page = response.content.decode()

    link = reverse("admin:django_dlq_deadletter_change", args=[first.pk])
    assert f'It is parked behind <a href="{link}">dead letter {first.pk}</a>' in page
    assert f'<a href="{link}">Behind dead letter {first.pk}</a>' in page
    assert "it has not been tried yet" in page
    assert "Last failed" not in page
    assert "same cause" not in page
    assert [button.name for button in response.context["buttons"] if not button.why_not] == ["discard"]
    assert "not tried yet" in staff.get(LIST, {"state": "parked"}).content.decode()
    assert "holds its key</bdi>" in staff.get(LIST, {"state": "dead"}).content.decode()
    assert "holds its key</bdi>" not in staff.get(LIST, {"state": "parked"}).content.decode()
