"""Other outboxes beside ours: the same PostgreSQL, the same mock cluster, the same bodies, in the same rounds."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from benchmarks import kafka
from benchmarks.kafka import Cluster
from benchmarks.measure import Result, from_another
from benchmarks.processes import OURS, Died
from benchmarks.relay import drain, fill, slow_broker
from benchmarks.rivals import environment, run
from benchmarks.rivals.known import RIVALS, Rival

TURNS = ("distinct", "hot", "slow")
NO_ORDER = "none"
FAILURES = (run.Failed, environment.Unavailable, drain.TooSlow, drain.WrongCount, Died)

Row = dict[str, Any]


def rivals(rounds: int) -> Result:
    """Let all take turns; one that fails is left alone after that, and does not stop the others."""
    ours = {"name": "django_dlq", "django": True, "version": "this one", "order": "per key", "python": ""}
    ours |= {"messages": drain.MESSAGES, "hot_messages": drain.MESSAGES}
    rows: list[Row] = [ours | {"configuration": "the default", "failed": {}}]
    rows += [asdict(rival) | {"version": environment.version(rival), "failed": {}} for rival in RIVALS]
    prepare()
    with kafka.mock() as cluster:
        sides = list(zip(rows, (None, *RIVALS), strict=True))
        for number in range(rounds):
            for row, rival in from_another(number, sides):
                for turn in TURNS:
                    _take(row, turn, _act(rival, cluster, turn))
    return Result(series={"rivals": rows})


def _take(row: Row, turn: str, act: Callable[[], float]) -> None:
    """Take one turn, unless there is nothing to take or it has failed before."""
    if turn in row["failed"] or (turn == "hot" and row["order"] == NO_ORDER):
        return
    try:
        row.setdefault(turn, []).append(act())
    except FAILURES as error:
        row["failed"][turn] = str(error)
        print(f"{row['name']}, {turn}: failed: {error}", flush=True)


def _act(rival: Rival | None, cluster: Cluster, turn: str) -> Callable[[], float]:
    def act() -> float:
        assert cluster.delay is not None
        cluster.delay(slow_broker.MILLISECONDS if turn == "slow" else 0)
        try:
            if rival is not None:
                return run.rate(rival, cluster, hot=turn == "hot")
            return drain.emptied(OURS, cluster, key=fill.hot if turn == "hot" else fill.distinct).rate
        finally:
            cluster.delay(0)

    return act


def prepare() -> None:
    """Make every environment before the clock runs, so that no download does meanwhile."""
    for rival in RIVALS:
        try:
            environment.python(rival)
        except environment.Unavailable as error:
            print(f"{rival.name}: {error}", flush=True)
