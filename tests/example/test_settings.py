"""The example project as a whole."""

import pytest
from django.core.management import call_command

from django_dlq.registry import handlers


def test_the_checks_find_nothing_to_improve() -> None:
    call_command("check", fail_level="WARNING")


@pytest.mark.django_db
def test_the_migrations_are_complete() -> None:
    call_command("makemigrations", "shop", check_changes=True, dry_run=True)


def test_each_group_of_handlers_is_found() -> None:
    assert handlers.groups() == ["red-packets", "shipping"]
