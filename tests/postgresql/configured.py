"""Connections with other OPTIONS."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def configured(**options: Any) -> Iterator[None]:
    """Connect anew with other OPTIONS."""
    before = dict(connection.settings_dict["OPTIONS"])
    connection.close()
    connection.settings_dict["OPTIONS"].update(options)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["OPTIONS"] = before
