import re
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

import django_dlq


@pytest.mark.django_db
def test_the_migrations_say_what_the_models_say():
    call_command("makemigrations", "django_dlq", check=True, dry_run=True, verbosity=0)


@pytest.mark.once
def test_migrations_are_numbered_and_named():
    names = sorted(path.stem for path in (Path(django_dlq.__file__).parent / "migrations").glob("0*.py"))

    assert names[0] == "0001_initial"
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert not [name for name in names if re.search(r"_auto_\d|_\d{8}", name)]


@pytest.mark.django_db
def test_there_is_one_leaf():
    loader = MigrationLoader(connection)

    assert len(loader.graph.leaf_nodes("django_dlq")) == 1


@pytest.mark.django_db(transaction=True)
def test_the_tables_can_be_taken_away_and_made_again():
    tables = tables_of_the_app()
    assert tables == {model._meta.db_table for model in apps.get_app_config("django_dlq").get_models()}
    call_command("migrate", "django_dlq", "zero", verbosity=0)
    try:
        assert tables_of_the_app() == set()
    finally:
        call_command("migrate", "django_dlq", verbosity=0)
    assert tables_of_the_app() == tables


def tables_of_the_app():
    return {name for name in connection.introspection.table_names() if name.startswith("django_dlq_")}
