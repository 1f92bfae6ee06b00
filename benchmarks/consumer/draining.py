"""A consumer in a process of its own, with batches of five hundred: python -m benchmarks.consumer.draining TOPIC."""

import sys

import django

django.setup()

from benchmarks.consumer.batches import BATCH, handle  # noqa: E402  # needs Django set up
from django_dlq.consumer import Consumer  # noqa: E402
from django_dlq.registry import Handler, handlers  # noqa: E402
from django_dlq.runner import Loop, collecting_rarely  # noqa: E402


def main(topic: str) -> None:
    """Handle what comes, until SIGTERM, as dlq_consume does."""
    handlers.handlers = [Handler(function=handle, topics=(topic,), group=topic, batch_size=BATCH)]
    with collecting_rarely():
        Loop(Consumer(topic), idle=0.001).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
