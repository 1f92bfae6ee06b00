"""Begin a transaction and say its first statement in one journey to the server.

psycopg sends BEGIN by itself, and waits for the answer, before a connection's first statement. For a handler with one
statement that is a quarter of the time, and more the farther away the server is.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper

IDLE: Final = 0
"""libpq's PQTRANS_IDLE."""


def with_begin(connection: BaseDatabaseWrapper) -> AbstractContextManager[object]:
    """Send BEGIN together with the one statement that is executed in this block, if that begins a transaction.

    For psycopg 3 as Django configures it. Elsewhere, inside a transaction, and where BEGIN has to say more than that,
    it goes as ever. Execute wrappers see the same statements either way; `connection.queries` shows what is sent.
    """
    return connection.execute_wrapper(_begin_too) if _can_begin(connection) else nullcontext()


def _can_begin(connection: BaseDatabaseWrapper) -> bool:
    if connection.vendor != "postgresql" or connection.settings_dict["OPTIONS"].get("server_side_binding"):
        return False  # with parameters that the server binds, a statement goes alone
    driver: Any = connection.connection
    if getattr(driver, "_autocommit", True) or not hasattr(driver, "pgconn"):
        return False
    return (driver.isolation_level, driver.read_only, driver.deferrable) == (None, None, None)


def _begin_too(execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001
    driver = context["connection"].connection
    if driver.pgconn.transaction_status != IDLE:
        return execute(sql, parameters, many, context)
    # The driver may only be told while no transaction is open, and has to know again that it is not to commit each
    # statement: it asks itself that wherever it makes a cursor on the server. So this is not done by its property.
    driver._autocommit = True
    try:
        result = execute(f"BEGIN; {sql}", parameters, many, context)
    finally:
        driver._autocommit = False
    context["cursor"].nextset()  # the first is the answer to BEGIN
    return result
