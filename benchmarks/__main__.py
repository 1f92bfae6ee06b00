"""Measure the hot paths: `make bench`, or `make bench NAME=relay` for one part, `NAME=hot-key` for one scenario."""

import argparse
import os
import sys
import time
from collections.abc import Sequence

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()

from benchmarks import database, machine, page, plots, report, scenarios  # noqa: E402  # needs Django set up
from benchmarks.scenarios import Scenario  # noqa: E402


def main() -> int:
    """Measure what was asked for, print it and write it down; one scenario that fails does not stop the others."""
    arguments = _arguments()
    chosen = [] if arguments.write_docs else scenarios.chosen(arguments.name, full=arguments.full)
    if chosen:
        database.create()
    failed = [scenario.name for scenario in chosen if not _measure(scenario, arguments.rounds)]
    if arguments.write_docs:
        plots.draw(report.saved())
        page.write(report.saved())
    _print_end(chosen, arguments.name, failed)
    return 1 if failed else 0


def _measure(scenario: Scenario, rounds: int) -> bool:
    began = time.monotonic()
    try:
        result = scenario.measure(rounds)
    except Exception as error:  # noqa: BLE001  # whatever it is, the others shall be measured
        print(f"{scenario.name}: failed: {type(error).__name__}: {error}\n", flush=True)
        return False
    report.save(scenario.name, machine.describe() | {"rounds": str(result.rounds or rounds)}, result)
    print(f"## {scenario.name} ({time.monotonic() - began:.0f} s)\n", flush=True)
    print(report.tables(report.saved()[scenario.name]), end="\n\n", flush=True)
    return True


def _print_end(chosen: Sequence[Scenario], name: str | None, failed: Sequence[str]) -> None:
    asked = [scenario for scenario in scenarios.SCENARIOS if name in (None, scenario.part)]
    left_out = [scenario.name for scenario in asked if scenario.heavy and scenario not in chosen]
    if left_out and chosen:
        print(f"Left out, for they take long: {', '.join(left_out)}. FULL=1 or NAME=... measures them.")
    if failed:
        print(f"Failed: {', '.join(failed)}.")
    measured = [scenario.name for scenario in chosen if scenario.name not in failed]
    if missed := report.missed(measured, report.saved()):
        print("Goals that were missed:", *(f"- {line}" for line in missed), "", sep="\n")
    parts = dict.fromkeys(scenario.part for scenario in chosen)
    print(*report.summary(parts, report.saved()), sep="\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=scenarios.names(), help="a part or a scenario; all without it")
    parser.add_argument("--full", action="store_true", help="also those that take long: " + scenarios.heavy())
    parser.add_argument("--rounds", type=int, default=5, help="how often all sides take turns (default: 5)")
    parser.add_argument(
        "--write-docs", action="store_true", help="measure nothing; draw and write what is saved into the manual"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
