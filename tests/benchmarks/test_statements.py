import pytest

from benchmarks.relay import statements

pytestmark = pytest.mark.once

TRACE = b"""\
F\t13\tQuery\t "BEGIN"
B\t10\tCommandComplete\t "BEGIN"
B\t5\tReadyForQuery\t T
F\t40\tParse\t "" "SELECT 'F 1 Query' FROM t" 0
F\t14\tBind\t "" "" 0 0 1 0
F\t6\tDescribe\t P ""
F\t9\tExecute\t "" 0
F\t4\tSync
B\t4\tParseComplete
B\t5\tReadyForQuery\t T
"""


def test_each_query_and_each_execution_is_a_statement() -> None:
    assert statements._per_thousand(statements.STATEMENT, [TRACE]) == 2 * 1000 / statements.MESSAGES
    assert statements._per_thousand(statements.ANSWERED, [TRACE, TRACE]) == 4 * 1000 / statements.MESSAGES
