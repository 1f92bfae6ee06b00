"""A person uses the demo's shop, and sees it die."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from tests.scenarios.demo import demo_that_runs
from tests.services.process import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.once]

FAMILY = {"Your name": "Mei Lin", "Your child's name": "Lele", "Address": "8 Plum Street"}


def test_whoever_pays_a_shop_that_dies_loads_the_page_again_and_has_paid_once(tmp_path: Path, browser: Browser) -> None:
    with demo_that_runs("in a browser", tmp_path / "output"):
        output = (tmp_path / "output").read_text()
        (address,) = re.findall(r"Shop +(http://[\d.:]+)/", output)
        (log,) = re.findall(r"Log +(\S+)/demo.log", output)
        page = browser.new_page(base_url=address)
        page.goto("/courses/letters/")
        for label, text in FAMILY.items():
            page.get_by_label(label).fill(text)
        page.get_by_label("Crash after charging").check()
        page.get_by_role("button", name="Pay now").click()
        assert wait_for(lambda: _shows_the_order(page), seconds=30)
        expect(page.get_by_text("Lele can start now.")).to_be_visible(timeout=20_000)
        expect(page.get_by_text("Tracking number")).to_be_visible(timeout=20_000)
        (line,) = (Path(log) / "bank.log").read_text().splitlines()
        assert line.split()[1:] == ["charged", "39.00"]
        assert "web ended with status 70" in (tmp_path / "output").read_text()
        page.close()


def _shows_the_order(page: Page) -> bool:
    """Load the page again, which sends the form again: the shop may not have started yet."""
    with suppress(Error):
        page.reload()
    return "/orders/" in page.url
