import pytest

from django_dlq.models import OutboxMessage, State
from tests.admin.editor import copy_of, opened, send, url
from tests.admin.factories import letter, person

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def test_an_edit_is_compared_and_then_sends_a_copy(staff):
    row = letter(body=b'{"order":7}')
    data = opened(staff, row) | {"body": '{\r\n  "order": 8\r\n}', "preview": "1"}
    preview = staff.post(url(row), data)
    (part,) = preview.context["differences"]
    assert [(line.mark, line.text) for line in part.lines if line.mark in "+-"] == [
        ("-", '  "order": 7'),
        ("+", '  "order": 8'),
    ]
    assert not OutboxMessage.objects.exists()
    sent = staff.post(url(row), dict(preview.context["typed"]) | {"send": "1"})
    assert sent.status_code == 302
    assert copy_of(row).body_bytes == b'{"order":8}'
    row.refresh_from_db()
    assert row.state == State.RESOLVED
    assert row.events.last().reason == "a typing error"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1.10,"a":12345678901234567890,"b":"\xe4\xb8\xad\\n, : \\" x"}',
        b'{"a": 1, "b": [1, 2, {}]}',
        b'{ "a":1}',
        b'{"ascii":"\\u4e2d"}',
        b'{\n    "a": 1\n}\n',
        b"\n\nfirst lines are empty",
        b"plain, and a space at the end ",
        b"line one\nline two",
        b"line one\r\nline two\r\n",
        b"mixed\r\nends\n",
        b"a lone \r return",
        b"\x00\x01 control",
        b"\xff\xfe not UTF-8",
        b'{"a":"\x7f"}',
        b"NaN",
        b"",
        None,
    ],
)
def test_a_body_that_nobody_touches_stays_the_same_byte_for_byte(staff, body):
    row = letter(body=body)
    send(staff, row, tag="other")
    assert copy_of(row).body_bytes == body
    assert copy_of(row).tag == "other"


@pytest.mark.parametrize(
    ("body", "find", "put", "sent"),
    [
        (b'{"a":1.10,"b":2}', '"b": 2', '"b": 3', b'{"a":1.10,"b":3}'),
        (b'{"a": 1.10, "b": 2}', '"b": 2', '"b": 3', b'{"a": 1.10, "b": 3}'),
        (b"one\ntwo", "two", "three", b"one\nthree"),
        (b"one\r\ntwo", "two", "three", b"one\r\nthree"),
        (b"\xff\x00", "/wA=", "/wE=", b"\xff\x01"),
    ],
)
def test_only_what_is_edited_changes(staff, body, find, put, sent):
    row = letter(body=body)
    shown = opened(staff, row)["body"]
    assert find in shown
    send(staff, row, body=shown.replace(find, put))
    assert copy_of(row).body_bytes == sent


def test_headers_that_nobody_touches_stay_repeated_absent_and_binary(staff):
    headers = (("a", b"1"), ("a", b"2"), ("none", None), ("empty", b""), ("raw", b"\xff\x00"), (" b ", b" spaces "))
    row = letter(headers=headers)
    send(staff, row, tag="other")
    assert copy_of(row).headers == headers


def test_one_header_is_edited_one_removed_and_one_added(staff):
    row = letter(headers=(("a", b"1"), ("raw", b"\xff"), ("b", b"2"), ("c", b"3")))
    changed = {"headers-0-value": "one", "headers-2-is_removed": "on", "headers-4-name": "new", "headers-4-value": "é"}
    send(staff, row, **changed)
    assert copy_of(row).headers == (("a", b"one"), ("raw", b"\xff"), ("c", b"3"), ("new", "é".encode()))


def test_a_locked_header_cannot_be_changed_by_a_forged_form(staff):
    row = letter(headers=(("raw", b"\xff"),))
    send(staff, row, tag="other", **{"headers-0-name": "x", "headers-0-value": "y"})
    assert copy_of(row).headers == (("raw", b"\xff"),)


def test_a_binary_key_stays_as_it_is(staff):
    row = letter(key=b"\xff\x00")
    send(staff, row, tag="other", key="forged")
    assert copy_of(row).key_bytes == b"\xff\x00"


def test_a_key_is_edited_or_taken_away(staff):
    row, other = letter(key=b"a"), letter(key=b"a")
    send(staff, row, key="b")
    assert copy_of(row).key_bytes == b"b"
    send(staff, other, has_no_key="on")
    assert copy_of(other).key_bytes is None


def test_a_body_becomes_a_tombstone_only_when_asked(staff):
    row = letter(body=b"text")
    send(staff, row, has_no_body="on")
    assert copy_of(row).body is None


def test_a_change_of_spaces_alone_is_shown_as_what_travels(staff):
    row = letter(body=b'{ "a":1}')
    preview = staff.post(url(row), opened(staff, row) | {"body": '{  "a":1}', "preview": "1"})
    (part,) = preview.context["differences"]
    assert (part.before, part.after) == ('{ "a":1}', '{  "a":1}')
    assert "Only spaces" in part.note


def test_a_long_comparison_is_cut_and_says_so(staff, monkeypatch):
    monkeypatch.setattr("django_dlq.admin.editing.difference.MOST_LINES", 3)
    row = letter(body=b"one")
    preview = staff.post(url(row), opened(staff, row) | {"body": "\n".join("abcdef"), "preview": "1"})
    (part,) = preview.context["differences"]
    assert len(part.lines) == 4
    assert part.lines[-1].text == "… 4 more lines"


def test_a_body_larger_than_a_form_is_not_offered_for_editing(staff, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 250_000
    row = letter(body=b"x" * 100_000)
    answer = staff.get(url(row))
    assert answer.status_code == 302
    assert "DATA_UPLOAD_MAX_MEMORY_SIZE" in staff.get(answer.url).content.decode()


def test_more_headers_than_a_form_takes_are_kept(staff):
    headers = tuple((f"h{number}", b"1") for number in range(101))
    row = letter(headers=headers)
    send(staff, row, tag="other")
    assert copy_of(row).headers == headers


def test_who_may_edit_but_not_unmask_may_not_edit(client):
    client.force_login(person("edit", "replay"))
    assert client.get(url(letter())).status_code == 403


def test_a_settled_letter_is_not_offered_for_editing(staff):
    assert staff.get(url(letter(state=State.RESOLVED))).status_code == 302


def test_the_copy_and_the_original_lead_to_each_other(staff):
    row = letter(body=b"text")
    send(staff, row, body="typed")
    copy = copy_of(row)
    change = "/admin/django_dlq/deadletter/{}/change/"
    assert change.format(copy.pk) in staff.get(change.format(row.pk)).content.decode()
    assert change.format(row.pk) in staff.get(change.format(copy.pk)).content.decode()
