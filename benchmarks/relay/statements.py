"""How often the relay speaks to the database."""

import os
import re
import tempfile
from pathlib import Path

from benchmarks import database, kafka
from benchmarks.processes import Side, running
from benchmarks.relay import drain, fill

COUNTED = Side("counted", ("-m", "benchmarks.counted_relay"))
MESSAGES = 20_000
STATEMENT = re.compile(rb"^F\t\d+\t(Query|Execute)\b", re.MULTILINE)
ANSWERED = re.compile(rb"^B\t\d+\tReadyForQuery\b", re.MULTILINE)


def count() -> dict[str, float]:
    """Return statements and round trips for 1,000 messages, from the start of a relay until the outbox is empty."""
    with kafka.mock() as cluster, tempfile.TemporaryDirectory() as traces:
        database.empty()
        fill.fill(cluster.topic(), MESSAGES)
        database.settle()
        with (
            database.by_hand() as observer,
            running(COUNTED, cluster.bootstrap, database.NAME, BENCH_TRACES=traces) as one,
        ):
            drain.wait(one, lambda: drain.is_empty(observer))
        said = [Path(traces, name).read_bytes() for name in sorted(os.listdir(traces))]
    return {
        "statements": round(_per_thousand(STATEMENT, said), 1),
        "round trips": round(_per_thousand(ANSWERED, said), 1),
    }


def _per_thousand(pattern: re.Pattern[bytes], said: list[bytes]) -> float:
    return sum(len(pattern.findall(text)) for text in said) * 1000 / MESSAGES
