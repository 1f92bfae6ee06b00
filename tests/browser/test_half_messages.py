from datetime import timedelta

import pytest
from playwright.sync_api import expect

from django_dlq.models import HalfMessage, HalfMessageCheck, OutboxMessage
from tests.admin.test_half_messages import LIST, half

pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_checkers"),
]


def test_an_operator_reads_what_the_checks_said_and_commits_with_a_reason(open_context):
    row = half(message_key="charge-7", age=timedelta(days=2))
    HalfMessageCheck.objects.create(
        half=row, answer="unknown", owner="host:1:a", error_class="shop.GatewayDown", error_message="no answer",
        traceback="Traceback (most recent call last):",
    )  # fmt: skip
    page = open_context().new_page()
    page.goto(LIST)
    expect(page.get_by_role("img", name="Undecided by age.")).to_be_visible()
    page.locator("#result_list").get_by_text("charge-7", exact=True).click()
    expect(page.get_by_text("shop.GatewayDown")).to_be_visible()
    page.get_by_role("button", name="Commit…").click()
    page.get_by_label("Reason").fill("the statement has it")
    page.get_by_role("button", name="Commit: 1").click()
    expect(page.get_by_text("1 half message committed.")).to_be_visible()
    row.refresh_from_db()
    assert (row.state, row.decided_by, row.reason) == ("committed", "person", "the statement has it")
    assert OutboxMessage.objects.count() == 1


def test_those_that_are_ticked_are_rolled_back_in_a_dark_and_narrow_window(open_context):
    for number in range(3):
        half(message_key=f"charge-{number}", age=timedelta(hours=number * 9))
    page = open_context(color_scheme="dark", viewport={"width": 400, "height": 850}).new_page()
    page.goto(LIST)
    page.locator("input.action-select").nth(0).check()
    page.locator("input.action-select").nth(1).check()
    page.get_by_role("button", name="Roll back…").click()
    page.get_by_label("Reason").fill("refused")
    page.get_by_role("button", name="Roll back: 2").click()
    expect(page.get_by_text("2 half messages rolled back.")).to_be_visible()
    assert HalfMessage.objects.filter(state="rolled_back", reason="refused").count() == 2
