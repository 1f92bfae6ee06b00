# ruff: noqa: T201 - a command line program
"""Take pictures of the admin's pages: python -m tests.browser.screenshots docs/images

With --all also those that the manual does not show: every page, light and dark, wide and narrow.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WIDE = {"width": 1360, "height": 900}
NARROW = {"width": 400, "height": 850}


def main() -> None:
    """Fill a database of its own, serve it, and look."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--all", action="store_true", help="every page in every look")
    chosen = parser.parse_args()
    chosen.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dlq-pictures-") as scratch:
        os.environ["DATABASE_URL"] = f"sqlite:///{scratch}/shop.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright runs an event loop in this thread

        import django

        django.setup()
        with _shop() as (address, cookie):
            _look(chosen.directory, address, cookie, every=chosen.all)


@contextmanager
def _shop() -> Iterator[tuple[str, str]]:
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.management import call_command
    from django.test import Client, override_settings
    from django.test.testcases import LiveServerThread

    from tests.browser import course_shop

    call_command("migrate", verbosity=0)
    client = Client()
    client.force_login(course_shop.fill())
    with override_settings(ALLOWED_HOSTS=["127.0.0.1"], TIME_ZONE="Asia/Shanghai", DLQ_RELEASE="2026.11.3"):
        server = LiveServerThread("127.0.0.1", StaticFilesHandler)
        server.daemon = True
        server.start()
        server.is_ready.wait()
        if server.error:
            raise server.error
        yield f"http://127.0.0.1:{server.port}", client.cookies["sessionid"].value
        server.terminate()


def _look(directory: Path, address: str, cookie: str, *, every: bool) -> None:
    from tests.browser.chromium import chromium

    with chromium() as browser:
        for theme in ("light", "dark") if every else ("light",):
            for width, size in (("wide", WIDE), ("narrow", NARROW)) if every else (("wide", WIDE),):
                context = browser.new_context(viewport=size, color_scheme=theme)
                context.add_cookies([{"name": "sessionid", "value": cookie, "url": address}])
                for name, path in _pages().items():
                    if not every and name not in ("list", "detail"):
                        continue
                    page = context.new_page()
                    page.goto(address + path)
                    if name == "preview":
                        _edit(page)
                    target = directory / (f"{name}-{theme}-{width}.png" if every else f"admin-{name}.png")
                    page.screenshot(path=target, full_page=every or name == "detail")
                    print(target)
                    page.close()
                context.close()


def _edit(page: "object") -> None:
    body = page.locator("textarea[name=body]")  # type: ignore[attr-defined]
    body.fill(body.input_value().replace("上海", "杭州"))
    page.locator("textarea[name=reason]").fill("The buyer has moved.")  # type: ignore[attr-defined]
    page.get_by_role("button", name="Compare before sending").click()  # type: ignore[attr-defined]


def _pages() -> dict[str, str]:
    from django.contrib.admin.utils import quote

    from django_dlq.models import DeadLetter, OutboxMessage, RelayProcess, StoppedGroup

    first = DeadLetter.objects.order_by("pk").first()
    waiting = OutboxMessage.objects.order_by("pk").first()
    relay = RelayProcess.objects.order_by("pk").last()
    stop = StoppedGroup.objects.order_by("pk").last()
    assert stop is not None
    assert first is not None
    assert relay is not None
    assert waiting is not None
    letters = "/admin/django_dlq/deadletter/"
    return {
        "list": letters,
        "detail": f"{letters}{first.pk}/change/",
        "confirm": f"{letters}{first.pk}/discard/",
        "edit": f"{letters}{first.pk}/edit/",
        "preview": f"{letters}{first.pk}/edit/",
        "nothing": f"{letters}?q=no-such-order",
        "outbox": "/admin/django_dlq/outboxmessage/",
        "outbox-row": f"/admin/django_dlq/outboxmessage/{waiting.pk}/change/",
        "published": "/admin/django_dlq/publishedmessage/",
        "inbox": "/admin/django_dlq/inboxmessage/",
        "relays": "/admin/django_dlq/relayprocess/",
        "relay": f"/admin/django_dlq/relayprocess/{quote(relay.pk)}/change/",
        "stopped": "/admin/django_dlq/stoppedgroup/",
        "stop": f"/admin/django_dlq/stoppedgroup/{stop.pk}/change/",
        "resume": f"/admin/django_dlq/stoppedgroup/{stop.pk}/resume/",
        "lanes": "/admin/django_dlq/relaylane/",
        "dependencies": "/admin/django_dlq/dependency/",
        "dependency": "/admin/django_dlq/dependency/logistics/change/",
        "circuit-open": "/admin/django_dlq/dependency/add/?dependency=logistics",
        "circuit-close": "/admin/django_dlq/dependency/logistics/delete/",
        "circuit-replay": "/admin/django_dlq/dependency/logistics/replay/",
    }


if __name__ == "__main__":
    main()
