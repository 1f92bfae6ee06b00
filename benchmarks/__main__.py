"""Measure the hot paths: `make bench`, or `make bench NAME=relay` for one part."""

import argparse
import os
from collections.abc import Callable, Iterator

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()

from benchmarks import consumer, database, kafka, machine, publish, relay, report  # noqa: E402  # needs Django set up
from benchmarks.measure import Comparison  # noqa: E402

Measure = Callable[[kafka.Cluster, int], list[Comparison]]


def main() -> None:
    """Measure what was asked for and print it."""
    arguments = _arguments()
    if arguments.name or not arguments.write_docs:
        database.create()
        found: list[Comparison] = []
        for part in [arguments.name] if arguments.name else PARTS:
            figures = PARTS[part](arguments.rounds)
            report.save(part, machine.describe(), figures)
            found += figures
        print(report.table(found), *report.summary(found), sep="\n")
    if arguments.write_docs:
        report.write_page()


def _relay(rounds: int) -> list[Comparison]:
    return _with_each_kafka(relay.measure, rounds)


def _consumer(rounds: int) -> list[Comparison]:
    return _with_each_kafka(consumer.measure, rounds)


def _with_each_kafka(measure: Measure, rounds: int) -> list[Comparison]:
    return [figure for figures in _each(measure, rounds) for figure in figures]


def _each(measure: Measure, rounds: int) -> Iterator[list[Comparison]]:
    with kafka.mock() as cluster:
        yield measure(cluster, rounds)
    if kafka.real_address():
        with kafka.real() as cluster:
            yield measure(cluster, rounds)


PARTS = {"publish": publish.measure, "relay": _relay, "consumer": _consumer}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=PARTS, help="one part; all without it")
    parser.add_argument("--rounds", type=int, default=5, help="how often both sides take turns (default: 5)")
    parser.add_argument("--write-docs", action="store_true", help="write the saved figures into the manual")
    return parser.parse_args()


if __name__ == "__main__":
    main()
