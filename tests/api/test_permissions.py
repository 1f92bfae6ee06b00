"""Who may do what."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.test import APIClient, APIRequestFactory
from rest_framework.views import APIView

from django_dlq.api.permissions import actor_of
from django_dlq.api.views import VERBS, MessageViewSet
from django_dlq.models import DeadLetter, DeadLetterEvent, Kind, OutboxMessage
from tests.api.conftest import SignIn

pytestmark = pytest.mark.once

READS = {
    "/dlq/dead-letters/": "view_deadletter",
    "/dlq/outbox/": "view_outboxmessage",
    "/dlq/published/": "view_publishedmessage",
}
BODIES: dict[str, dict[str, Any]] = {
    "replay": {},
    "edit": {"reason": "wrong", "body": {}},
    "discard": {"reason": "a test"},
    "restore": {},
}


@pytest.fixture
def open_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a project whose own APIs are open to everybody."""
    monkeypatch.setattr(APIView, "permission_classes", [AllowAny])


@pytest.mark.parametrize("path", READS)
def test_nobody_reads_without_signing_in(db: None, open_project: None, path: str) -> None:
    answer = APIClient().get(path)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_authenticated")


def test_a_project_with_passwords_or_tokens_answers_401(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MessageViewSet, "authentication_classes", [BasicAuthentication, SessionAuthentication])
    answer = APIClient().get("/dlq/dead-letters/")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"].startswith("Basic")
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("path", "permission"), READS.items())
def test_each_list_has_its_own_permission(sign_in: SignIn, open_project: None, path: str, permission: str) -> None:
    assert sign_in(permission, name="reader").get(path).status_code == 200
    refused = sign_in(*(set(READS.values()) - {permission}), name="other").get(path)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert f"django_dlq.{permission}" in refused.json()["detail"]


def test_details_need_the_permission_to_view(sign_in: SignIn, letter: DeadLetter) -> None:
    assert sign_in("replay_deadletter").get(f"/dlq/dead-letters/{letter.pk}/").status_code == 403


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_needs_its_own_permission(sign_in: SignIn, letter: DeadLetter, verb: str) -> None:
    names = [name.removeprefix("django_dlq.") for needed in VERBS.values() for name in needed]
    others = {name for name in names if not name.startswith(verb)}
    client = sign_in("view_deadletter", *others)
    answer = client.post(f"/dlq/dead-letters/{letter.pk}/{verb}/", BODIES[verb])
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert f"{verb}_deadletter" in answer.json()["detail"]
    assert OutboxMessage.objects.count() == 0
    assert DeadLetterEvent.objects.exclude(kind=Kind.FAILED).count() == 0


@pytest.mark.parametrize("verb", ["replay", "edit", "discard"])
def test_the_verbs_permissions_are_enough(sign_in: SignIn, letter: DeadLetter, verb: str) -> None:
    client = sign_in("view_deadletter", *(name.removeprefix("django_dlq.") for name in VERBS[verb]))
    assert client.post(f"/dlq/dead-letters/{letter.pk}/{verb}/", BODIES[verb]).status_code == 202


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_not_view_may_not_act_either(sign_in: SignIn, letter: DeadLetter, verb: str) -> None:
    client = sign_in(*(name.removeprefix("django_dlq.") for name in VERBS[verb]))
    assert client.post(f"/dlq/dead-letters/{letter.pk}/{verb}/", BODIES[verb]).status_code == 403


def test_who_may_not_see_everything_may_not_edit(sign_in: SignIn, letter: DeadLetter) -> None:
    answer = sign_in("view_deadletter", "edit_deadletter").post(f"/dlq/dead-letters/{letter.pk}/edit/", BODIES["edit"])
    assert answer.status_code == 403
    assert "unmask_deadletter" in answer.json()["detail"]


def test_a_stranger_cannot_find_out_which_letters_exist(sign_in: SignIn, letter: DeadLetter) -> None:
    client = sign_in()
    assert client.get(f"/dlq/dead-letters/{letter.pk}/").status_code == 403
    assert client.get(f"/dlq/dead-letters/{letter.pk + 1}/").status_code == 403


def test_a_session_without_its_csrf_token_cannot_act(letter: DeadLetter) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    assert client.post(f"/dlq/dead-letters/{letter.pk}/replay/").status_code == 403
    assert OutboxMessage.objects.count() == 0


def test_a_user_who_is_not_in_the_database_acts_under_its_name() -> None:
    class TokenUser:
        def __str__(self) -> str:
            return "billing-service"

    request: Any = SimpleNamespace(user=TokenUser())
    assert actor_of(request) == "billing-service"


def test_a_user_of_the_database_acts_as_itself() -> None:
    request: Any = APIRequestFactory().get("/")
    request.user = User(username="ann")
    assert actor_of(request) is request.user
