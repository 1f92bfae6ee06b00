"""Run a management command and kill it, as `kill -9` does, before its N-th act.

    python -m tests.scenarios.dying 7 dlq_relay --once

An act is what the world outside the process can notice: a statement that writes to a table of ours, a commit, a record
that Kafka gets, one taken from it, offsets committed. Between two acts nobody can see anything happen, so dying before
each act in turn is dying at every step. Its standard error names the acts; the last one is the one that did not happen.

    python -m tests.scenarios.dying "DELETE outboxmessage" dlq_relay

stops the process before the first act of that name, as SIGSTOP does or a machine that is frozen, and it goes on as if
nothing had been when somebody continues it.
"""

import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import confluent_kafka
import django
from django.core.management import call_command
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

WRITING = re.compile(r"\b(INSERT|UPDATE|DELETE)\b.*?(?:django_dlq|test_shop)_(\w+)", re.DOTALL)


class Fate:
    """Count the acts of this process, and end it before the one that is fated to be the last, or freeze it."""

    def __init__(self, number: int = 0, *, freezes_before: str = "") -> None:
        self.left = number
        self.freezes_before = freezes_before

    def act(self, name: str, last_words: Callable[[], object] = lambda: None) -> None:
        """Note an act that is about to happen, or die."""
        sys.stderr.write(f"{name}\n")
        self.left -= 1
        if self.left == 0:
            last_words()
            end(signal.SIGKILL)
        if name == self.freezes_before:
            self.freezes_before = ""
            end(signal.SIGSTOP)

    def watch_database(self) -> None:
        """Make acts of statements and commits."""

        def execute(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
            found = WRITING.search(sql)
            if found:
                self.act(" ".join(found.groups()))
            return execute(sql, *arguments)

        def watch(connection: BaseDatabaseWrapper, **_: Any) -> None:
            if execute not in connection.execute_wrappers:
                connection.execute_wrappers.append(execute)

        # Each thread has a connection of its own.
        connection_created.connect(watch, weak=False)
        commit = BaseDatabaseWrapper._commit

        def committing(wrapper: BaseDatabaseWrapper) -> None:
            self.act("COMMIT")
            commit(wrapper)

        BaseDatabaseWrapper._commit = committing

    def watch_kafka(self) -> None:
        """Make acts of what Kafka gets and gives; call it before the driver is imported elsewhere."""
        fate = self

        class Producer(confluent_kafka.Producer):  # type: ignore[misc]  # a C type
            def produce(self, *arguments: Any, **options: Any) -> None:
                # To die in the middle of a batch, what came before must be there and not in a buffer.
                fate.act("produce", last_words=self.flush)
                super().produce(*arguments, **options)

        class Consumer(confluent_kafka.Consumer):  # type: ignore[misc]  # a C type
            def poll(self, *arguments: Any, **options: Any) -> Any:
                message = super().poll(*arguments, **options)
                if message is not None:
                    fate.act("poll")
                return message

            def commit(self, *arguments: Any, **options: Any) -> Any:
                fate.act("commit offsets")
                return super().commit(*arguments, **options)

            def close(self) -> None:
                fate.act("leave the group")
                super().close()

        confluent_kafka.Producer, confluent_kafka.Consumer = Producer, Consumer


def end(number: signal.Signals) -> None:
    """Send a signal that hits this very thread before it can do anything else; and with it the whole process."""
    signal.pthread_kill(threading.get_ident(), number)


def main(when: str, *command: str) -> None:
    """Run the command until its act, or to its end."""
    fate = Fate(int(when)) if when.isdigit() else Fate(freezes_before=when)
    fate.watch_kafka()
    django.setup()
    fate.watch_database()
    call_command(*command)


if __name__ == "__main__":
    main(*sys.argv[1:])
