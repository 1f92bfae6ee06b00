# ruff: noqa: T201 - a command line program
"""Run the suite once per database that is there, its scenarios beside the rest.

With DLQ_REQUIRE_SERVICES=1 a service that is not there, any skipped test, and too little coverage are failures.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from tests.services import CHROMIUM, DEBEZIUM, KAFKA, MARIADB, POSTGRESQL

ROOT = Path(__file__).resolve().parents[1]
DATABASES = ("sqlite", "postgresql", "mariadb")
NO_TESTS_COLLECTED = 5
LEAST_COVERED = 98  # per cent of lines and branches
# What uses the app as people do, mostly in other processes.
USES = ["tests/benchmarks", "tests/browser", "tests/docs", "tests/example", "tests/services"]
# Minutes of waiting for clocks and brokers beside minutes of work.
PARTS = {
    "units": ["tests", "--ignore=tests/scenarios", *(f"--ignore={folder}" for folder in USES)],
    "scenarios h-z": ["tests/scenarios", "--ignore-glob=*/scenarios/test_[a-g]*.py"],
    "scenarios a-g": ["tests/scenarios", *USES, "--ignore-glob=*/scenarios/test_[h-z]*.py"],
}
# Those that take longest, to be begun first.
LONG = [
    "postgresql scenarios h-z",
    "sqlite units",
    "postgresql scenarios a-g",
    "postgresql units",
    "sqlite scenarios a-g",
]
# Measuring costs half of the time again. Scenarios happen in other processes, and what only MariaDB has is little.
MEASURED = ["sqlite units", "postgresql units"]
CONNECT = "import django; django.setup(); from django.db import connection; connection.ensure_connection()"


@dataclass
class Round:
    """Hold one run of pytest, and afterwards its result."""

    database: str
    url: str
    part: str = ""  # of the suite; without, what the command line says
    exit_code: int = 0
    seconds: float = 0
    passed: int = 0
    failed: list[str] = field(default_factory=list)  # "test: the first line of why"
    skipped: list[str] = field(default_factory=list)  # "test: reason"

    @property
    def name(self) -> str:
        """The database, and the part of the suite."""
        return f"{self.database} {self.part}".rstrip()

    @property
    def is_bad(self) -> bool:
        """Tell whether this round must fail the run."""
        return bool(self.failed) or self.exit_code not in (0, NO_TESTS_COLLECTED)


def main() -> int:
    """Run every round that can run, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__, allow_abbrev=False)
    parser.add_argument("--database", action="append", choices=DATABASES, help="only this round; may be repeated")
    parser.add_argument("--at-once", type=int, default=(os.cpu_count() or 1) + 1, help="how many side by side")
    chosen, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="dlq-tests-") as name:
        directory = Path(name)
        absent, environment = look_around(directory)
        urls = {}
        for database in chosen.database or DATABASES:
            url = url_of(database, directory)
            if problem := connection_problem(environment | {"DATABASE_URL": url}):
                absent.append(f"{database}: the whole round ({problem})")
            else:
                urls[database] = url
        parts = [""] if arguments else PARTS
        rounds = [Round(database, url, part) for part in parts for database, url in urls.items()]
        rounds.sort(key=lambda each: LONG.index(each.name) if each.name in LONG else len(LONG))
        # Much of it is waiting for leases, clocks and brokers: one more than there are cores.
        with ThreadPoolExecutor(chosen.at_once) as pool:
            list(pool.map(partial(run_round, arguments, directory, environment), rounds))
        # A selection of tests covers little, and its numbers would only mislead.
        is_covered = bool(arguments) or report_coverage(environment)
    return conclude(rounds, absent, is_covered=is_covered)


def look_around(directory: Path) -> tuple[list[str], dict[str, str]]:
    """Find out what does not answer, and make the environment of the runs."""
    # Coverage data stays out of the work tree, where another run may be going on.
    environment = os.environ | {
        "COVERAGE_FILE": str(directory / ".coverage"),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    environment.pop("DLQ_TEST_KAFKA", None)
    absent = []
    if KAFKA.version():
        environment["DLQ_TEST_KAFKA"] = KAFKA.url
    else:
        absent.append(f"kafka: tests against a real broker (nothing answers on {KAFKA.url})")
    if not DEBEZIUM.version():
        absent.append("debezium: the scenario with Kafka Connect (not downloaded)")
    if not CHROMIUM.version():
        absent.append("chromium: tests in a browser (not installed)")
    return absent, environment


def url_of(database: str, directory: Path) -> str:
    """Return a database's DATABASE_URL."""
    urls = {"postgresql": POSTGRESQL.url, "mariadb": MARIADB.url}
    return urls.get(database, f"sqlite:///{directory}/dlq.sqlite3")


def connection_problem(environment: Mapping[str, str]) -> str:
    """Connect as the tests will, so that a missing driver counts as much as a missing server."""
    command = [sys.executable, "-c", CONNECT]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    said = done.stderr.strip().splitlines() or ["no reason given"]
    return said[-1] if done.returncode else ""


def run_round(arguments: Sequence[str], directory: Path, environment: Mapping[str, str], result: Round) -> None:
    """Run pytest, and put the round's name before each line that is printed."""
    report = directory / f"{result.name}.xml"
    command = [sys.executable, *measuring(result), "-m", "pytest", f"--junitxml={report}"]
    if result.database != DATABASES[0]:
        command += ["-m", "not once"]
    began = time.monotonic()
    with subprocess.Popen(
        [*command, *arguments, *PARTS.get(result.part, [])],
        cwd=ROOT,
        env={**environment, "DATABASE_URL": result.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as pytest:
        assert pytest.stdout is not None
        for line in pytest.stdout:
            print(f"{result.name:<24} | {line}", end="", flush=True)
    result.exit_code, result.seconds = pytest.returncode, time.monotonic() - began
    if report.exists():
        count(report, result)


def measuring(result: Round) -> list[str]:
    """Return what measures the coverage of a round, if it is to be measured."""
    return ["-m", "coverage", "run"] if result.name in MEASURED else []


def count(report: Path, result: Round) -> None:
    """Count the tests of a JUnit report; an expected failure is a pass."""
    for case in ElementTree.parse(report).iter("testcase"):
        skip = case.find("skipped")
        faults = [*case.iter("failure"), *case.iter("error")]
        if faults:
            why = (faults[0].get("message") or "no message").partition("\n")[0]
            result.failed.append(f"{case.get('classname')}.{case.get('name')}: {why[:300]}")
        elif skip is not None and skip.get("type") != "pytest.xfail":
            result.skipped.append(f"{case.get('classname')}.{case.get('name')}: {skip.get('message')}")
        else:
            result.passed += 1


def report_coverage(environment: Mapping[str, str]) -> bool:
    """Join what all rounds covered, print it, and tell whether it is enough."""
    coverage = [sys.executable, "-m", "coverage"]
    gathered = str(Path(environment["COVERAGE_FILE"]).parent)
    # In the work tree under its usual name, for `coverage html` afterwards.
    combine = [*coverage, "combine", "-q", "--data-file=.coverage", gathered]
    if subprocess.run(combine, cwd=ROOT, check=False).returncode:
        return False
    report = [*coverage, "report", "--data-file=.coverage"]
    if os.environ.get("DLQ_REQUIRE_SERVICES") == "1":
        # Only with every service there can every line be reached.
        report.append(f"--fail-under={LEAST_COVERED}")
    return subprocess.run(report, cwd=ROOT, check=False).returncode == 0


def conclude(rounds: Sequence[Round], absent: Sequence[str], *, is_covered: bool) -> int:
    """Print the table, what was left out, and the sum; return the exit code."""
    print(f"\n{'round':<24} {'passed':>7} {'failed':>7} {'skipped':>7} {'seconds':>8}")
    for each in rounds:
        numbers = f"{each.passed:>7} {len(each.failed):>7} {len(each.skipped):>7} {each.seconds:>8.1f}"
        print(f"{each.name:<24} {numbers}{f'   pytest exit code {each.exit_code}' if each.is_bad else ''}")
    if absent:
        print("\nNot there (`make services` brings all of it), and therefore left out:")
        print(*(f"  {line}" for line in absent), sep="\n")
    for each in rounds:
        for test in each.failed:
            print(f"FAILED on {each.database}: {test}")
    is_bad = any(each.is_bad for each in rounds) or not rounds or not is_covered
    if os.environ.get("DLQ_REQUIRE_SERVICES") == "1":
        is_bad |= complain_about_gaps(rounds, absent)
    failed, skipped = sum(len(r.failed) for r in rounds), sum(len(r.skipped) for r in rounds)
    print(f"\n{sum(r.passed for r in rounds)} passed, {failed} failed, {skipped} skipped")
    return 1 if is_bad else 0


def complain_about_gaps(rounds: Sequence[Round], absent: Sequence[str]) -> bool:
    """Name everything that DLQ_REQUIRE_SERVICES=1 does not allow to be left out."""
    skips = [f"  {each.database}: {test}" for each in rounds for test in each.skipped]
    if absent:
        print("\nDLQ_REQUIRE_SERVICES=1: every service above must be there.")
    if skips:
        print("\nDLQ_REQUIRE_SERVICES=1 allows no skipped test, and these were:", *skips, sep="\n")
    return bool(absent or skips)


if __name__ == "__main__":
    sys.exit(main())
