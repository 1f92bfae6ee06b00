"""The mock cluster in a process of its own, told on its standard input how long every answer takes."""

import sys

from django_dlq.testing.mock_kafka import MockKafka


def main() -> None:
    """Print the address, then take a number of milliseconds per line until standard input closes."""
    with MockKafka(brokers=3) as kafka:
        print(kafka.bootstrap, flush=True)
        for line in sys.stdin:
            kafka.delay(int(line))
            print(line.strip(), flush=True)


if __name__ == "__main__":
    main()
