"""Columns that keep exactly what travelled."""

import base64
import json
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from django_dlq.message import Headers, exact, readable

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


class HeadersField(models.JSONField):
    """Headers as pairs, in order, repeated names kept.

    In the database: [name, text], [name, null] for an absent value, or [name, text, base64] where text cannot hold the
    bytes; then a fourth item is the name's own base64, where text cannot hold that either.
    """

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
        packed = [_pack(name, data) for name, data in value] if isinstance(value, tuple) else value
        return super().get_db_prep_value(packed, connection, prepared)

    def value_to_string(self, obj: models.Model) -> str:
        """Return the JSON that serializers write."""
        return json.dumps([_pack(name, data) for name, data in self.value_from_object(obj)])

    def to_python(self, value: Any) -> Headers:
        """Return pairs from what `value_to_string` wrote."""
        items = json.loads(value) if isinstance(value, str) else value
        return tuple(item if isinstance(item, tuple) else _unpack(*item) for item in items)


def _by_bytes(parameters: Any, connection: BaseDatabaseWrapper) -> Any:
    if connection.vendor == "mysql":
        parameters["collation"] = BINARY_COLLATIONS[getattr(connection, "mysql_is_mariadb", False)]
    return parameters


def headers_from_text(text: str) -> Headers:
    """Return the pairs from a column's JSON."""
    return () if text == "[]" else tuple(_unpack(*item) for item in json.loads(text))


def _pack(name: str, data: bytes | None) -> list[str | None]:
    travelled = name.encode(errors="surrogatepass")
    packed = [readable(travelled), None if data is None else readable(data), _base64(exact(data))]
    if exact(travelled) is not None:
        return [*packed, _base64(travelled)]
    return packed if packed[2] else packed[:2]


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _unpack(
    name: str, text: str | None, encoded: str | None = None, encoded_name: str | None = None
) -> tuple[str, bytes | None]:
    if encoded_name is not None:
        name = base64.b64decode(encoded_name).decode(errors="surrogatepass")
    if encoded is not None:
        return name, base64.b64decode(encoded)
    return name, None if text is None else text.encode()
