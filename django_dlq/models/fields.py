"""Columns that keep exactly what travelled."""

import json
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import In

from django_dlq.header_json import pack, unpack
from django_dlq.message import Headers
from django_dlq.models.postgresql_array import text_array

BINARY_COLLATIONS = {True: "utf8mb4_nopad_bin", False: "utf8mb4_0900_bin"}  # MariaDB's name, MySQL's name


class ExactCharField(models.CharField):  # type: ignore[type-arg]  # Django's fields are not subscriptable
    """Text that is equal only if every byte is.

    MySQL's and MariaDB's default collations hold "A" and "a", and "a" and "a ", to be equal: two different messages
    would count as one, and the second would be skipped.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Give the column a collation by bytes where the default is not one."""
        return _by_bytes(super().db_parameters(connection), connection)


class ExactTextField(models.TextField):  # type: ignore[type-arg]
    """The same for text of any length, such as a key: a key that is paused or held must not stop another one."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Give the column a collation by bytes where the default is not one."""
        return _by_bytes(super().db_parameters(connection), connection)


@ExactTextField.register_lookup
class AnyOf(In):
    """Equal to one of some texts, which travel as one parameter to PostgreSQL: thousands of them take long to bind."""

    lookup_name = "any_of"

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        """Compare with an array, as the database does itself with a list."""
        left, parameters = self.process_lhs(compiler, connection)
        return f"{left} = ANY(%s::text[])", [*parameters, text_array(self.rhs)]


class HeadersField(models.JSONField):
    """Headers as pairs, in order, repeated names kept; header_json.py says how they lie in the database."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("default", tuple)
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the pairs as they travelled."""
        if value is None:
            return ()
        return headers_from_text(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Write the pairs as JSON."""
        packed = pack(value) if isinstance(value, tuple) else value
        return super().get_db_prep_value(packed, connection, prepared)

    def value_to_string(self, obj: models.Model) -> str:
        """Return the JSON that serializers write."""
        headers = self.value_from_object(obj)
        return json.dumps(pack(headers)) if headers else "[]"

    def to_python(self, value: Any) -> Headers:
        """Return pairs from what `value_to_string` wrote."""
        items = json.loads(value) if isinstance(value, str) else value
        return items if isinstance(items, tuple) else unpack(items)


def value_of(field: "models.Field[Any, Any]", row: models.Model) -> Any:
    """Return what a statement that is written by hand gives the driver for a column: headers as text."""
    return field.value_to_string(row) if isinstance(field, HeadersField) else getattr(row, field.attname)


def _by_bytes(parameters: Any, connection: BaseDatabaseWrapper) -> Any:
    if connection.vendor == "mysql":
        parameters["collation"] = BINARY_COLLATIONS[getattr(connection, "mysql_is_mariadb", False)]
    elif connection.vendor == "postgresql":
        # Equal is equal there anyway; but what is ordered by bytes is compared faster, does not change with the
        # system's library, and lets an index find all texts that begin with one.
        parameters["collation"] = "C"
    return parameters


def headers_from_text(text: str) -> Headers:
    """Return the pairs from a column's JSON."""
    return () if text == "[]" else unpack(json.loads(text))
