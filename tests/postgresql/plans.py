"""How PostgreSQL goes about a statement."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db import connection


class Plan(NamedTuple):
    """A plan that was carried out.

    nodes: its steps, as EXPLAIN tells them. pages: how many of the tables and indexes they touched. is_compiled:
    whether it was taken to be so long that it was worth compiling.
    """

    nodes: Sequence[dict[str, Any]]
    pages: int
    is_compiled: bool

    @property
    def kinds(self) -> set[str]:
        """The kinds of its steps."""
        return {node["Node Type"] for node in self.nodes}

    @property
    def indexes(self) -> set[str]:
        """The indexes that it goes along."""
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    @property
    def read_whole(self) -> set[str]:
        """The tables that it reads from one end to the other."""
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"}


def plans_of(act: Callable[[], object]) -> list[Plan]:
    """Return the plans of the statements of this, which must be in a transaction; each is carried out twice."""
    plans: list[Plan] = []

    def explain(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if "SAVEPOINT" not in sql:
            planning, statement = _parts(sql)
            cursor = context["cursor"]
            execute("SAVEPOINT explained", None, False, context)
            execute(f"{planning} EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", params, many, context)
            while cursor.description is None:
                cursor.nextset()
            plans.append(plan_of(*cursor.fetchone()))
            execute("ROLLBACK TO SAVEPOINT explained", None, False, context)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        act()
    return plans


def _parts(sql: str) -> tuple[str, str]:
    """Take a SELECT out of what postgresql_reading makes of it; return also by which settings it is planned."""
    planning, declare, query = sql.partition("DECLARE dlq BINARY CURSOR FOR")
    return (planning, query.partition("; FETCH ALL")[0]) if declare else ("", sql)


def plan_of(found: Any) -> Plan:
    """Return what EXPLAIN has told as JSON."""
    (told,) = json.loads(found) if isinstance(found, str) else found
    top = told["Plan"]
    return Plan(list(_steps(top)), top["Shared Hit Blocks"] + top["Shared Read Blocks"], "JIT" in told)


def _steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _steps(inner)
