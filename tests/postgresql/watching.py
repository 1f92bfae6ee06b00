"""The ways in which somebody looks at the statements that go through Django."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections
from django.db.backends.postgresql.base import Cursor, DatabaseWrapper
from django.test.utils import CaptureQueriesContext

WAYS = ("wrapper", "log", "cursor", "engine")


@contextmanager
def watching(how: str, patches: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield a list that has the statements afterwards."""
    seen: list[str] = []

    def watch(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    class Watching(Cursor):  # as OpenTelemetry's instrumentation makes it
        def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
            seen.append(query)
            return super().execute(query, *arguments, **options)

    class Engine(DatabaseWrapper):  # as django-prometheus makes it
        def create_cursor(self, name: str | None = None) -> Any:
            return Watching(self.connection)

    connection.ensure_connection()
    if how == "wrapper":
        with connection.execute_wrapper(watch):
            yield seen
    elif how == "log":
        with CaptureQueriesContext(connection) as captured:
            yield seen
        seen += [query["sql"] for query in captured.captured_queries]
    else:
        if how == "cursor":
            patches.setattr(connection.connection, "cursor_factory", Watching)
        else:
            patches.setattr(connections["default"], "__class__", Engine)
        yield seen
