"""All that can be measured, in the order in which it is."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.consumer.backlog import backlog as consumer_backlog
from benchmarks.consumer.batches import batches
from benchmarks.consumer.duplicates import duplicates
from benchmarks.consumer.inbox_cost import inbox_cost
from benchmarks.consumer.outage import outage
from benchmarks.consumer.single import single
from benchmarks.consumer.threads import threads
from benchmarks.half import half
from benchmarks.measure import Result
from benchmarks.metrics import metrics
from benchmarks.publish import publish
from benchmarks.relay.backlog import backlog
from benchmarks.relay.distinct import distinct, hot_key
from benchmarks.relay.held import held
from benchmarks.relay.latency import latency
from benchmarks.relay.notify import notify
from benchmarks.relay.processes import processes
from benchmarks.relay.rivals import rivals
from benchmarks.relay.slow_broker import slow_broker
from benchmarks.relay.sustained import sustained


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question, and what answers it."""

    part: str
    name: str
    measure: Callable[[int], Result]
    heavy: bool = False


SCENARIOS = (
    Scenario("publish", "publish", publish),
    Scenario("half", "half", half),
    Scenario("relay", "distinct-keys", distinct),
    Scenario("relay", "hot-key", hot_key),
    Scenario("relay", "slow-broker", slow_broker),
    Scenario("relay", "processes", processes),
    Scenario("relay", "latency", latency),
    Scenario("relay", "notify", notify),
    Scenario("relay", "rivals", rivals),
    Scenario("relay", "backlog", backlog, heavy=True),
    Scenario("relay", "held-transaction", held, heavy=True),
    Scenario("relay", "sustained", sustained, heavy=True),
    Scenario("metrics", "metrics", metrics, heavy=True),
    Scenario("consumer", "single", single),
    Scenario("consumer", "batches", batches),
    Scenario("consumer", "inbox-cost", inbox_cost),
    Scenario("consumer", "threads", threads),
    Scenario("consumer", "duplicates", duplicates),
    Scenario("consumer", "outage", outage),
    Scenario("consumer", "consumer-backlog", consumer_backlog, heavy=True),
)


def chosen(name: str | None, *, full: bool) -> list[Scenario]:
    """Return what one name stands for; a heavy one only with `full`, or by its own name."""
    named = [scenario for scenario in SCENARIOS if scenario.name == name]
    return named or [one for one in SCENARIOS if name in (None, one.part) and (full or not one.heavy)]


def names() -> list[str]:
    """Return every name of a part or a scenario."""
    return list(dict.fromkeys(name for scenario in SCENARIOS for name in (scenario.part, scenario.name)))


def heavy() -> str:
    """Return the names of those that take long."""
    return ", ".join(scenario.name for scenario in SCENARIOS if scenario.heavy)
