"""How PostgreSQL goes about a statement, and what it believes about a table."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db import connection, models


class Plan(NamedTuple):
    """A plan that was carried out. nodes: its steps, as EXPLAIN tells them. pages: how many they touched."""

    nodes: Sequence[dict[str, Any]]
    pages: int

    @property
    def kinds(self) -> set[str]:
        """The kinds of its steps."""
        return {node["Node Type"] for node in self.nodes}

    @property
    def indexes(self) -> set[str]:
        """The indexes that it goes along."""
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}


def plans_of(look: Callable[[], object]) -> list[Plan]:
    """Return the plans of what is read by this, each statement being carried out twice."""
    plans: list[Plan] = []

    def explain(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip("(").startswith("SELECT"):
            execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params, many, context)
            plans.append(_plan(*context["cursor"].fetchone()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        look()
    return plans


def forget_statistics(model: type[models.Model]) -> None:
    """Empty a table, and make it one that was never analysed."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")
        cursor.execute("DELETE FROM pg_statistic WHERE starelid = %s::regclass", [table])


def analyse(model: type[models.Model]) -> None:
    """Take the statistics of a table."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {model._meta.db_table}")


def _plan(found: Any) -> Plan:
    top = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return Plan(list(_steps(top)), top["Shared Hit Blocks"] + top["Shared Read Blocks"])


def _steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _steps(inner)
