"""A browser with an operator who is signed in, under a policy that forbids inline scripts and styles."""

import os
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission

from tests.admin.factories import EVERY_VERB, person
from tests.browser.chromium import PATH, chromium

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'"


@pytest.fixture(scope="session")
def browser():
    if not Path(PATH).exists():
        pytest.skip(f"{PATH} is not installed; `make services` installs it")
    with chromium() as browser, pytest.MonkeyPatch.context() as patch:
        # Playwright runs an event loop in this thread, where Django would refuse to touch the database.
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield browser


@pytest.fixture
def open_context(browser, live_server, client):
    """Make contexts of an operator who may do everything; whatever a page complains about fails the test."""
    operator = person(*EVERY_VERB)
    operator.user_permissions.add(*Permission.objects.filter(content_type__model="halfmessage"))
    client.force_login(operator)
    complaints, contexts = [], []

    def strictly(route):
        response = route.fetch(max_redirects=0)
        route.fulfill(response=response, headers={**response.headers, "content-security-policy": POLICY})

    def make(**options):
        context = browser.new_context(base_url=live_server.url, **options)
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
        context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("dialog", lambda dialog: complaints.append(dialog.message))
        context.route(lambda url: "/admin/" in url and "/static/" not in url, strictly)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()
    assert complaints == []
