import pytest
from playwright.sync_api import expect

from django_dlq.models import DeadLetter, State
from tests.admin.factories import letter

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

LIST = "/admin/django_dlq/deadletter/"
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def test_an_operator_finds_a_letter_reads_it_and_replays_it(open_context):
    row = letter(message_key="order-1")
    letter(message_key="order-2")
    page = open_context().new_page()
    page.goto(LIST)
    page.locator("#searchbar").fill("order-1")
    page.get_by_role("button", name="Search").click()
    page.locator("#result_list").get_by_text("order-1", exact=True).click()
    page.get_by_role("button", name="Replay…", exact=True).click()
    page.get_by_label("Reason").fill("logistics is back")
    page.get_by_role("button", name="Replay: 1 letter").click()
    expect(page.get_by_text("1 letter replayed.")).to_be_visible()
    # Back where the operator came from, with the same search.
    assert "q=order-1" in page.url
    row.refresh_from_db()
    assert row.state == State.REPLAYING
    assert row.events.last().reason == "logistics is back"


def test_the_letters_that_are_ticked_are_discarded_with_a_reason(open_context):
    rows = [letter(), letter(), letter()]
    page = open_context().new_page()
    page.goto(LIST)
    page.locator("input.action-select").nth(0).check()
    page.locator("input.action-select").nth(1).check()
    page.get_by_role("button", name="Discard…").click()
    page.get_by_label("Reason").fill("test orders")
    page.get_by_role("button", name="Discard: 2 letters").click()
    expect(page.get_by_text("2 letters discarded.")).to_be_visible()
    assert DeadLetter.objects.filter(pk__in=[row.pk for row in rows], state=State.DISCARDED).count() == 2


@pytest.mark.parametrize("body", ["one\ntwo\n", "one\r\ntwo\r\n", "\n\nfirst lines are empty", '{"a":1.10,"b":[1]}'])
def test_a_real_browser_gives_back_every_byte_of_what_nobody_touched(open_context, body):
    headers = (("a", b"1"), ("a", b" 2 "), ("none", None), ("raw", b"\xff\x00"))
    row = letter(body=body.encode(), headers=headers)
    page = open_context().new_page()
    page.goto(f"{LIST}{row.pk}/edit/")
    page.get_by_label("Tag").fill("other")
    page.get_by_label("Reason").fill("wrong tag")
    page.get_by_role("button", name="Compare before sending").click()
    page.get_by_role("button", name="Send the copy").click()
    expect(page.get_by_text("An edited copy was sent in its place.")).to_be_visible()
    copy = DeadLetter.objects.get(corrects=row)
    assert (copy.tag, copy.body_bytes, copy.headers) == ("other", body.encode(), headers)


def test_an_edit_can_be_changed_again_after_the_comparison(open_context):
    row = letter(body=b'{"city":"a"}')
    page = open_context().new_page()
    page.goto(f"{LIST}{row.pk}/edit/")
    page.get_by_label("Reason").fill("moved")
    for before, after in (("a", "b"), ("b", "c")):
        body = page.locator("textarea[name=body]")
        body.fill(body.input_value().replace(f'"{before}"', f'"{after}"'))
        page.get_by_role("button", name="Compare before sending").click()
        if after == "b":
            page.get_by_role("button", name="Change more").click()
    page.get_by_role("button", name="Send the copy").click()
    expect(page.get_by_text("An edited copy was sent in its place.")).to_be_visible()
    assert DeadLetter.objects.get(corrects=row).body_bytes == b'{"city":"c"}'


def test_pretty_and_raw_are_tabs_that_the_keyboard_moves_between(open_context):
    row = letter(body=b'{"order":7}')
    page = open_context().new_page()
    page.goto(f"{LIST}{row.pk}/change/")
    expect(page.get_by_text('{"order":7}')).to_be_hidden()
    page.get_by_role("tab", name="Pretty").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Raw")).to_be_focused()
    expect(page.get_by_text('{"order":7}')).to_be_visible()


def test_without_javascript_both_views_are_shown_and_acts_work(open_context):
    row = letter(body=b'{"order":7}')
    page = open_context(java_script_enabled=False).new_page()
    page.goto(f"{LIST}{row.pk}/change/")
    expect(page.get_by_text('{"order":7}')).to_be_visible()
    expect(page.get_by_text('"order": 7')).to_be_visible()
    page.goto(LIST)
    page.locator("input.action-select").first.check()
    page.get_by_role("button", name="Replay…").click()
    page.get_by_role("button", name="Replay: 1 letter").click()
    expect(page.get_by_text("1 letter replayed.")).to_be_visible()


@pytest.mark.parametrize("page_name", ["", "{pk}/change/", "{pk}/replay/", "{pk}/edit/"])
def test_a_telephone_needs_no_sideways_scrolling(open_context, page_name):
    row = letter(message_key="order-" + "x" * 120, error_message="y" * 300, headers=(("h", b"z" * 300),))
    page = open_context(viewport={"width": 400, "height": 800}).new_page()
    page.goto(LIST + page_name.format(pk=row.pk))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("page_name", ["", "{pk}/change/", "{pk}/replay/", "{pk}/edit/"])
def test_hostile_content_runs_nothing(open_context, page_name):
    texts = dict.fromkeys(("message_key", "topic", "error_class", "error_message", "traceback"), EVIL)
    row = letter(body=EVIL.encode(), headers=((EVIL, EVIL.encode()),), **texts)
    page = open_context().new_page()
    page.goto(LIST + page_name.format(pk=row.pk))
    assert page.locator("img[src=x]").count() == 0
    expect(page.get_by_text("alert(1)").first).to_be_attached()
