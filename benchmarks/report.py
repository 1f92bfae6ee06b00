"""The figures as a table, as JSON, as a page of the manual, and in three lines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Comparison

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parent.parent / "docs" / "reference" / "benchmarks.md"
HEAD = "| what | django_dlq | by hand | ratio | |\n| --- | --- | --- | --- | --- |"
INTRODUCTION = """\
# Benchmarks

`make bench` measures on your machine, `make bench NAME=relay` one part of it. This page is what
`.venv/bin/python -m benchmarks --write-docs` wrote.

Each figure stands beside a loop written by hand (psycopg and confluent-kafka, the same tables and the same durability,
without lease, fence, history, order by priority, delays, expiry and dead letters). Both took turns in the same run, so
the ratio holds where absolute figures change with the machine. A figure is the median of the rounds, with the lowest
and the highest in brackets. For milliseconds a low ratio is good, for messages per second a high one. A load average
above the number of cores says that the machine did other work too: believe the ratio then, and not the figure.

Bodies are JSON of about 250 bytes and keys are distinct. The mock Kafka keeps nothing on disk and runs in a process of
its own; the real one is Apache Kafka on the same machine. Both relays send batches of 500. A consumer's figure is bound
by the database's disk: each message is a transaction of its own, on both sides.
"""


def save(part: str, machine: Mapping[str, str], comparisons: Sequence[Comparison]) -> None:
    """Put one part's figures into results.json, beside what other parts have there."""
    results = _saved() | {part: {"machine": machine, "figures": [figure.as_dict() for figure in comparisons]}}
    RESULTS.write_text(json.dumps(results, indent=2, default=list) + "\n")


def write_page() -> None:
    """Write results.json into the manual."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text("\n".join([INTRODUCTION, *(_section(part, result) for part, result in _saved().items())]))


def table(comparisons: Sequence[Comparison]) -> str:
    """Return a table in Markdown."""
    return "\n".join([HEAD, *(_row(figure.as_dict()) for figure in comparisons)])


def summary(comparisons: Sequence[Comparison]) -> list[str]:
    """Return one line for each part that was measured, the figures that people ask for first."""
    found = {figure.name: figure for figure in comparisons}
    lines = []
    if "publish" in found:
        one, many = found["publish"], found["publish_many"]
        lines.append(
            f"publish: +{median(one.ours):.2f} ms per publish, {median(many.ours):.0f} ms per 1,000 "
            f"(raw {median(one.raw):.2f} ms, {median(many.raw):.0f} ms)"
        )
    for part, mode in (("relay", ""), ("consumer", " single")):
        if figure := found.get(f"{part}, mock"):
            lines.append(f"{part}: {median(figure.ours):,.0f} msg/s{mode}, {figure.ratio:.2f} x raw loop")
    return lines


def _section(part: str, result: Mapping[str, Any]) -> str:
    rows = [_row(figure) for figure in result["figures"]]
    machine = "; ".join(f"{name} {value}" for name, value in result["machine"].items())
    return "\n".join([f"## {part}\n", HEAD, *rows, f"\nMeasured on: {machine}.\n"])


def _row(figure: Mapping[str, Any]) -> str:
    cells = [figure["name"], *(_spread(figure[side], figure["unit"]) for side in ("ours", "raw"))]
    return f"| {' | '.join(cells)} | {figure['ratio']:.2f} | {figure['note']} |"


def _spread(values: Sequence[float], unit: str) -> str:
    digits = 0 if unit == "msg/s" else 2
    middle, low, high = (f"{value:,.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} {unit} ({low} to {high})"


def _saved() -> dict[str, Any]:
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return results
