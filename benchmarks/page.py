"""The page of the manual that says what was measured."""

from pathlib import Path
from typing import Any

from benchmarks.report import Saved, tables
from benchmarks.scenarios import SCENARIOS

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "benchmarks.md"
INTRODUCTION = """\
# Benchmarks

`make bench` measures on your machine, `make bench NAME=relay` one part of it, `make bench NAME=hot-key` one scenario.
What takes long (ten million messages, five minutes at a fixed rate) is measured by its name, or with `FULL=1`. Every
run writes its figures to `benchmarks/results.json`, beside the others; this page and its pictures are what
`.venv/bin/python -m benchmarks --write-docs` made of them.

The relay is measured as it runs in production: `manage.py dlq_relay` with the default settings, in a process of its
own, started in front of a full outbox. The first 5,000 messages only warm it up. A message counts when its row is
gone, which is when the broker has confirmed it with `acks=all`; afterwards the records in the topic are counted too.
PostgreSQL runs with `fsync` on. Bodies are JSON of about 250 bytes. The mock Kafka is librdkafka's own, keeps nothing
on disk, and runs in a process of its own; the real one is Apache Kafka on the same machine.

The raw loop is what one would write by hand with psycopg and confluent-kafka, on the same tables: read 500, produce
them, flush once, delete them with one statement. It knows no order, leases, fences, history, outages, delays or dead
letters.

All sides take turns, and each round begins with another one (but duplicates come after what they repeat). A figure is
the median of the rounds, with the lowest and the highest in brackets; a ratio is the median of each round's own, and
holds where absolute figures change with the machine. For milliseconds a low ratio is good, for messages per second a
high one. "goal" is what was to be reached, and says so where it was missed. A load average far above the number of
cores says that the machine did other work too.
"""
SECTIONS = {
    "publish": """\
## publish

What a message adds to the transaction that writes it.""",
    "half": """\
## Half messages

What `prepare` and `commit` cost beside a `publish` in a transaction of its own, and how many checkers that answer at
once a process of `dlq_checkback` asks.""",
    "distinct-keys": """\
## A key for each message

200,000 messages, so that the first and the last batches, which overlap with nothing, are a small part of the time.""",
    "hot-key": """\
## One key for all

One order, and so one partition of the topic.""",
    "slow-broker": """\
## A broker that is 5 ms away

The mock cluster answers each request five milliseconds later; a proxy in front of the real one does the same.""",
    "processes": """\
## Several relays

They hold their lanes already when 200,000 messages are committed at once.""",
    "latency": """\
## How soon a message is sent

One message at a time, in front of a relay that has nothing else to do, from its commit to the broker's
answer.""",
    "notify": """\
## What calling the relay costs

Four processes write and publish as fast as they can, each transaction one message, while somebody listens.""",
    "rivals": """\
## Other outboxes

Each is its release from PyPI in an environment of its own, with the same PostgreSQL, the same mock cluster and
bodies of the same size. It is run by its own relay's code, with the clock inside its own process, and configured
for speed, as the table says. Some are slow, so their outboxes hold fewer messages; ours holds 55,000. Those that
promise no order of a key are not asked for a hot one. django-outbox-pattern marks rows before anything is
confirmed, so its figure flatters it.""",
    "backlog": """\
## Long backlogs

The relay sends the next 90,000 messages of a longer and longer outbox.""",
    "held-transaction": """\
## Somebody else's open transaction

While it is open, PostgreSQL can remove nothing that was deleted. Each side sends 150,000 messages, and more than a
million wait behind them.""",
    "sustained": """\
## Five minutes at a fixed rate

A rate can be sustained if the backlog does not grow and the latency stays.""",
    "metrics": """\
## Figures of a long outbox and a long history

What `metrics.snapshot()` takes, and two of its parts beside reading the whole tables. What was sent in the last minute
has the lowest ids of the history, as in a catch-up.""",
    "single": """\
## Consumer

One consumer process with one thread; bound by the database's disk, for each message is a transaction. The loop by hand
has what psycopg does unless it is told not to: it prepares the two statements after five messages. Django tells it not
to; "prepared statements" is with `server_side_binding` and `prepare_threshold` in `OPTIONS`, which take that back.""",
    "batches": """\
## Batches

A batch handler, in the same process and thread; the loop by hand takes as many at once.""",
    "inbox-cost": """\
## What the inbox costs

The same handler in a transaction of its own, with the inbox row and without.""",
    "threads": """\
## Threads

Handlers that wait for something else, in one process.""",
    "duplicates": """\
## Duplicates

Messages that were handled before are skipped after one statement.""",
    "outage": """\
## An outage of a dependency

A topic of 100,000 messages, whose handler depends on something that refuses connections for some seconds; from its
recovery to the first round of the consumer in which a message is handled again.""",
    "consumer-backlog": """\
## A long backlog in the topic

A million messages, drained once by one consumer process; the memory is the most that it ever had.""",
}


def write(results: Saved) -> None:
    """Write what was measured, in the order of the scenarios."""
    parts = [_section(one.name, results[one.name]) for one in SCENARIOS if one.name in results]
    PAGE.write_text("\n".join([INTRODUCTION, *parts]), encoding="utf-8")


def _section(name: str, result: dict[str, Any]) -> str:
    machine = "; ".join(f"{what} {value}" for what, value in result["machine"].items())
    from benchmarks import plots  # noqa: PLC0415  # it needs matplotlib, unlike the tests of this page

    pictures = [f"![{text}](../images/{file})" for file, text in plots.PICTURES.get(name, {}).items()]
    shown = [picture for picture in pictures if (plots.IMAGES / picture.rpartition("/")[2].rstrip(")")).exists()]
    return "\n\n".join([SECTIONS[name], tables(result), *shown, f"Measured on: {machine}.\n"])
