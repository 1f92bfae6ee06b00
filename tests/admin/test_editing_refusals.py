import pytest

from django_dlq.models import DeadLetter
from tests.admin.editor import copy_of, fields, opened, refused, send, url
from tests.admin.factories import letter

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def test_broken_json_is_refused_with_its_place_unless_it_is_wanted(staff):
    row = letter(body=b'{"order":7}')
    answer = refused(staff, row, body='{\n  "order" 7\n}', preview="1")
    assert "at line 2, column 11" in str(answer.context["form"].errors)
    send(staff, row, body='{\r\n  "order" 7\r\n}', is_not_json="on")
    assert copy_of(row).body_bytes == b'{\n  "order" 7\n}'


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"reason": ""}, "This field is required"),
        ({"headers-0-name": "id"}, "is set by django_dlq itself"),
        ({"headers-0-name": ""}, "A header needs a name"),
        ({"headers-0-is_absent": "on"}, "Either there is no value"),
        ({"has_no_key": "on", "key": "x"}, "Either there is no key"),
        ({"has_no_body": "on", "body": "x"}, "Either there is no body"),
        ({"body": "\x00"}, "Null characters are not allowed"),
        ({"tag": "x" * 256}, "at most 255 characters"),
        ({}, "Nothing was changed"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_sent(staff, changed, why):
    assert why in refused(staff, letter(headers=(("a", b"1"),)), preview="1", **changed).content.decode()


@pytest.mark.parametrize(
    ("typed", "why"), [('{"a": NaN}', "NaN is not a JSON value"), ("[" * 100_000, "nested too deeply")]
)
def test_json_that_other_systems_refuse_is_refused(staff, typed, why):
    assert why in refused(staff, letter(body=b'{"a":1}'), body=typed, preview="1").content.decode()


def test_base64_that_is_none_is_refused(staff):
    assert "not base64" in refused(staff, letter(body=b"\xff"), body="/wA=!", preview="1").content.decode()


def test_a_letter_that_changed_meanwhile_sends_nothing_and_keeps_what_was_typed(staff):
    row = letter(body=b"text")
    data = opened(staff, row) | {"body": "typed", "send": "1"}
    row.move("give_up")
    row.events.create(kind="failed", actor_name="consumer")
    answer = staff.post(url(row), data)
    page = answer.content.decode()
    assert "something has happened to the letter" in page
    assert "typed" in page
    assert not DeadLetter.objects.filter(corrects=row).exists()
    # Now the person knows, and may insist.
    assert staff.post(url(row), fields(answer) | {"send": "1"}).status_code == 302
    assert copy_of(row).body_bytes == b"typed"


def test_a_letter_that_was_settled_meanwhile_sends_nothing_and_keeps_what_was_typed(staff):
    row = letter(body=b"text")
    data = opened(staff, row) | {"body": "typed", "send": "1"}
    row.move("discard")
    page = staff.post(url(row), data).content.decode()
    assert "Nothing was sent: only for letters that are" in page
    assert "typed" in page


def test_sending_twice_sends_one_copy(staff):
    row = letter(body=b"text")
    data = opened(staff, row) | {"body": "typed", "send": "1"}
    staff.post(url(row), data)
    staff.post(url(row), data)
    assert DeadLetter.objects.filter(corrects=row).count() == 1


def test_a_message_that_is_too_large_is_refused_with_what_was_typed(staff, settings):
    settings.DLQ_MAX_MESSAGE_BYTES = 50
    page = refused(staff, letter(body=b"text"), body="t" * 60, send="1").content.decode()
    assert "DLQ_MAX_MESSAGE_BYTES is 50" in page


def test_changing_more_leads_back_with_what_was_typed(staff):
    row = letter(body=b"text")
    assert "typed" in refused(staff, row, body="typed", back="1").content.decode()


def test_an_unknown_letter_is_not_found(staff):
    assert staff.get("/admin/django_dlq/deadletter/999/edit/").status_code == 404
