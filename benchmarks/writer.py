"""A web process under load: transactions that write an order and publish a message, one after the other."""

import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402  # needs Django set up

from benchmarks.bodies import body  # noqa: E402
from benchmarks.models import Order  # noqa: E402
from django_dlq import outbox  # noqa: E402

INSIDE = os.environ.get("BENCH_NOTIFY") == "inside"


def main() -> None:
    """Say that it is ready; then, for each number of seconds that it is given, say how many transactions it made."""
    write(0)
    print("ready", flush=True)
    for line in sys.stdin:
        until, count = time.perf_counter() + float(line), 0
        while time.perf_counter() < until:
            write(count)
            count += 1
        print(count, flush=True)


def write(number: int) -> None:
    """Make one transaction."""
    with transaction.atomic():
        Order(number=str(number)).save(force_insert=True)
        outbox.publish("bench-writers", body(number), key=str(number))
        if INSIDE:
            with connection.cursor() as cursor:
                cursor.execute("NOTIFY django_dlq")


if __name__ == "__main__":
    main()
