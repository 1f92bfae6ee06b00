"""Indexes that are smaller where the database knows how, and plain ones where it does not."""

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement
from django.db.models import Q


class PartialIndex(models.Index):
    """An index of some rows only; of all rows on MySQL and MariaDB, which have no partial indexes.

    Django's own Index(condition=...) is left out there, with a warning to every user of this app.
    """

    def __init__(self, *expressions: Any, where: Q, **options: Any) -> None:
        super().__init__(*expressions, **options)
        self.where = where

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        """Return the statement, with the condition if the database takes it."""
        condition = self.where if schema_editor.connection.features.supports_partial_indexes else None
        plain = models.Index(fields=self.fields, name=self.name, condition=condition)
        return plain.create_sql(model, schema_editor, using, **kwargs)

    def deconstruct(self) -> Any:
        """Return what a migration needs to make it again."""
        path, expressions, options = super().deconstruct()
        return path, expressions, {**options, "where": self.where}


class RecencyIndex(models.Index):
    """An index of a moment that grows with the table: BRIN on PostgreSQL, which costs next to nothing to fill."""

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        """Return the statement."""
        if schema_editor.connection.vendor == "postgresql":
            using = " USING brin"
        return super().create_sql(model, schema_editor, using, **kwargs)
