"""Whatever a stranger puts into a message is text on every page, never markup."""

import pytest

from django_dlq.models import DeadLetterEvent, InboxMessage, Kind, OutboxMessage, PublishedMessage, RelayLane
from tests.admin.factories import EVERY_VERB, letter, person

pytestmark = [pytest.mark.django_db, pytest.mark.once]

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\u2066{{ 7 }}</textarea></pre>\\x00"
PLAIN = EVIL[:100]


@pytest.fixture
def evil_letter():
    columns = dict.fromkeys(("message_id", "message_key", "topic", "tag", "handler", "error_class", "release"), EVIL)
    row = letter(
        key=EVIL.encode(),
        body=EVIL.encode(),
        headers=((EVIL, EVIL.encode()), (EVIL, None)),
        group=PLAIN,
        broker=PLAIN,
        error_message=EVIL,
        traceback=EVIL,
        **columns,
    )
    data = {"attempt": EVIL, "error_class": EVIL, "error_message": EVIL, "traceback": EVIL, "changed": [EVIL]}
    DeadLetterEvent.objects.note(row, Kind.FAILED, actor=EVIL, reason=EVIL, data=data)
    return row


@pytest.fixture
def staff(client):
    client.force_login(person(*EVERY_VERB, name="<script>alert(1)</script>"))
    return client


def assert_harmless(response):
    page = response.content.decode()
    assert response.status_code == 200
    assert "alert(1)" in page  # it is there
    assert "<script>alert" not in page  # as text
    assert "<img src=x" not in page
    assert "</textarea></pre>" not in page


@pytest.mark.parametrize(
    "page", ["", "{pk}/change/", "{pk}/replay/", "{pk}/discard/", "{pk}/edit/", "?q=%3Cscript%3E*"]
)
def test_a_hostile_letter_is_text(staff, evil_letter, page):
    assert_harmless(staff.get("/admin/django_dlq/deadletter/" + page.format(pk=evil_letter.pk)))


def test_a_hostile_letter_is_text_for_who_may_only_view(client, evil_letter):
    client.force_login(person())
    assert_harmless(client.get(f"/admin/django_dlq/deadletter/{evil_letter.pk}/change/"))


def test_a_hostile_edit_is_text_in_the_comparison_and_in_the_form_again(staff, evil_letter):
    url = f"/admin/django_dlq/deadletter/{evil_letter.pk}/edit/"
    seen = staff.get(url).context["form"]["seen"].value()
    data = {"body": EVIL + "!", "key": EVIL, "tag": EVIL + "!", "reason": EVIL, "seen": seen}
    data |= {"headers-TOTAL_FORMS": 3, "headers-INITIAL_FORMS": 2, "headers-2-name": EVIL, "headers-2-value": EVIL}
    for button in ("preview", "back"):
        assert_harmless(staff.post(url, data | {button: "1"}))


def test_a_hostile_result_is_text_in_the_messages(staff, evil_letter):
    evil_letter.move("discard")
    done = staff.post("/admin/django_dlq/deadletter/confirm/replay/", {"ids": evil_letter.pk, "filters": f"q={EVIL}"})
    assert done.url.startswith("/admin/django_dlq/deadletter/?q=")
    assert "<script>alert" not in staff.get(done.url).content.decode()


@pytest.mark.parametrize("filters", ["https://evil.example/", "//evil.example", "\r\nX: y"])
def test_the_way_back_never_leaves_the_list(staff, filters):
    done = staff.post("/admin/django_dlq/deadletter/confirm/replay/", {"ids": letter().pk, "filters": filters})
    assert done.url.startswith("/admin/django_dlq/deadletter/?")


def test_hostile_messages_are_text_on_all_other_pages(admin_client):
    message = {"topic": EVIL, "message_id": EVIL, "message_key": EVIL, "key": EVIL, "tag": EVIL, "body": EVIL.encode()}
    message |= {"headers": ((EVIL, EVIL.encode()),), "broker": PLAIN, "group": PLAIN}
    rows = [
        OutboxMessage.objects.create(**message),
        PublishedMessage.objects.create(outbox_id=1, created_at="2026-11-22T00:00Z", **message),
        InboxMessage.objects.create(group=PLAIN, message_key=EVIL, message_id=EVIL, topic=EVIL),
        RelayLane.objects.create(lane=0, owner=EVIL),
    ]
    for row in rows:
        path = f"/admin/django_dlq/{row._meta.model_name}/"
        assert_harmless(admin_client.get(path))
        assert_harmless(admin_client.get(f"{path}{row.pk}/change/"))
