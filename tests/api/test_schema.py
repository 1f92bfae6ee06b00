"""The OpenAPI description is complete."""

import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import call_command

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def schema() -> Any:
    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    return yaml.safe_load(out.getvalue())


def test_the_schema_is_valid_and_without_warnings(schema: Any) -> None:
    assert {path for path in schema["paths"] if path.startswith("/dlq/")} == {
        "/dlq/dead-letters/",
        "/dlq/dead-letters/{id}/",
        "/dlq/dead-letters/{id}/replay/",
        "/dlq/dead-letters/{id}/edit/",
        "/dlq/dead-letters/{id}/discard/",
        "/dlq/dead-letters/{id}/restore/",
        "/dlq/half-messages/",
        "/dlq/half-messages/{id}/",
        "/dlq/half-messages/{id}/commit/",
        "/dlq/half-messages/{id}/rollback/",
        "/dlq/outbox/",
        "/dlq/published/",
    }


def test_the_schema_names_every_filter(schema: Any) -> None:
    names = {parameter["name"] for parameter in schema["paths"]["/dlq/dead-letters/"]["get"]["parameters"]}
    assert {"state", "topic", "attempts__gte", "failed_after", "corrects", "cursor", "page_size"} <= names


def test_a_verb_is_described_with_its_request_its_answer_and_its_problems(schema: Any) -> None:
    verb = schema["paths"]["/dlq/dead-letters/{id}/edit/"]["post"]
    assert verb["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Edit"}
    assert set(verb["responses"]) == {"202", "400", "401", "403", "404", "409"}
    assert list(verb["responses"]["409"]["content"]) == ["application/problem+json"]
    assert [parameter["name"] for parameter in verb["parameters"]] == ["id"]


def test_preparing_is_described_with_its_header_and_every_field(schema: Any) -> None:
    prepare = schema["paths"]["/dlq/half-messages/"]["post"]
    assert [(each["in"], each["name"]) for each in prepare["parameters"]] == [("header", "Idempotency-Key")]
    assert set(prepare["responses"]) == {"200", "201", "400", "401", "403", "413", "422"}
    fields = schema["components"]["schemas"]["Prepare"]
    assert (fields["required"], len(fields["properties"])) == (["topic"], 15)
    commit = schema["paths"]["/dlq/half-messages/{id}/commit/"]["post"]
    assert "requestBody" not in commit
    assert set(commit["responses"]) == {"200", "400", "401", "403", "404", "409"}


def test_ids_are_text(schema: Any) -> None:
    letter = schema["components"]["schemas"]["DeadLetterDetail"]["properties"]
    assert letter["id"]["type"] == letter["corrects"]["type"] == "string"
    (pk,) = schema["paths"]["/dlq/dead-letters/{id}/discard/"]["post"]["parameters"]
    assert pk["schema"]["type"] == "string"


def test_the_api_needs_no_drf_spectacular() -> None:
    code = (
        "import sys; sys.modules['drf_spectacular'] = None\n"
        "from tests import settings\n"
        "settings.INSTALLED_APPS.remove('drf_spectacular')\n"
        "del settings.REST_FRAMEWORK['DEFAULT_SCHEMA_CLASS']\n"
        "import django; django.setup()\n"
        "from django.urls import reverse\n"
        "print(reverse('django_dlq:deadletter-list'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout == "/dlq/dead-letters/\n", ended.stderr
