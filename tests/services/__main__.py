# ruff: noqa: T201 - a command line program
"""`python -m tests.services up|down|reset|status [NAME...]`."""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.services import SERVICES, Service, packages
from tests.services.packages import MissingPackagesError
from tests.services.service import ServiceError


def main() -> int:
    """Do what the command line asks, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.services", description=__doc__)
    parser.add_argument("do", choices=["up", "down", "reset", "status"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(service.name for service in SERVICES))
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {service.name for service in SERVICES}
    if unknown:
        parser.error(f"no such service: {', '.join(sorted(unknown))}")
    chosen = [service for service in SERVICES if not arguments.names or service.name in arguments.names]
    try:
        return {"up": up, "down": down, "reset": reset, "status": status}[arguments.do](chosen)
    except (MissingPackagesError, ServiceError) as problem:
        print(problem, file=sys.stderr)
    except PermissionError as problem:
        print(f"{problem}: another user's services live there; DLQ_SERVICES_DIR chooses a place", file=sys.stderr)
    return 1


def up(services: Sequence[Service]) -> int:
    """Bring services up, one line each."""
    # All packages in one go: apt's own start-up is most of the time.
    lacking = [package for service in services for package in packages.missing(service.packages)]
    if lacking:
        print(f"installing {' '.join(lacking)}", flush=True)
        packages.install(lacking)
    for service in services:
        began = time.monotonic()
        started = service.up()
        took = f"{time.monotonic() - began:.1f} s" if started else "already up"
        print(f"{service.status()}  ({took})", flush=True)
    return 0


def down(services: Sequence[Service]) -> int:
    """Stop services, the last one first."""
    for service in reversed(services):
        service.down()
        print(f"{service.name:<11} stopped", flush=True)
    return 0


def reset(services: Sequence[Service]) -> int:
    """Stop services, the last one first, and remove their data."""
    for service in reversed(services):
        service.reset()
        print(f"{service.name:<11} stopped, its data removed", flush=True)
    return 0


def status(services: Sequence[Service]) -> int:
    """Print what answers; fail when something does not."""
    states = [service.status() for service in services]
    print(*states, sep="\n")
    return 0 if all(state.version for state in states) else 1


sys.exit(main())
