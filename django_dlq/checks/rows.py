"""Rows for the checks that look into a database."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from django.db import DatabaseError, connections, router
from django.db.models import Model

Found = TypeVar("Found")


def look_up(
    model: type[Model], databases: Collection[str] | None, query: Callable[[Any], Iterable[Found]]
) -> list[Found]:
    """Return what `query` finds among the rows of a model.

    That is nothing where Django does not let checks ask the rows' database, where there is no database, and in the
    first `migrate`, which runs the checks before it makes the table.
    """
    using = router.db_for_write(model)
    if using not in (databases or ()):
        return []
    try:
        if model._meta.db_table not in connections[using].introspection.table_names():
            return []
        return list(query(model._default_manager.using(using)))
    except DatabaseError:
        return []  # no database, or a table that is about to be changed
