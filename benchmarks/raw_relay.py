"""The loop by hand in a process of its own, until SIGTERM."""

import os
import signal
import threading

import confluent_kafka
import psycopg

from benchmarks import raw
from benchmarks.settings import DATABASES

IDLE = 0.005


def main() -> None:
    """Send batch after batch; look again soon when there is nothing."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    database = DATABASES["default"]
    where = {"host": database["HOST"], "port": database["PORT"], "user": database["USER"], "dbname": database["NAME"]}
    producer = confluent_kafka.Producer({"bootstrap.servers": os.environ["BENCH_KAFKA"], "enable.idempotence": True})
    with psycopg.connect(**where, autocommit=True) as connection:
        while not stopped.is_set():
            if not raw.relay(connection, producer):
                stopped.wait(IDLE)


if __name__ == "__main__":
    main()
