"""Rows are read where they are written."""

from typing import Any

import pytest
from django.apps import apps
from django.db import models


class ReadFromReplica:
    """The usual router of a project with a read replica."""

    def db_for_read(self, model: type[models.Model], **hints: object) -> str:
        return "replica"

    def db_for_write(self, model: type[models.Model], **hints: object) -> str:
        return "default"


@pytest.fixture(autouse=True)
def replica(settings: Any) -> None:
    settings.DATABASE_ROUTERS = [ReadFromReplica()]


@pytest.mark.parametrize(
    "model", list(apps.get_app_config("django_dlq").get_models()), ids=lambda model: model.__name__
)
def test_no_row_is_read_from_a_replica_that_may_lag(model: type[models.Model]) -> None:
    assert model.objects.all().db == "default"
    assert model.objects.filter(pk=1).db == "default"


def test_an_alias_that_is_asked_for_is_taken() -> None:
    model = apps.get_model("django_dlq", "DeadLetter")
    assert model.objects.using("replica").db == "replica"
    assert model.objects.db_manager("replica").all().db == "replica"
