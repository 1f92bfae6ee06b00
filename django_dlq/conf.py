"""The settings, one property each, read when they are used so that `override_settings` works.

Every wrong value is found by `manage.py check` (checks.py); `docs/reference/settings.md` explains each to users.
"""

from collections.abc import Mapping, Sequence
from datetime import time, timedelta
from typing import Any

from django.conf import settings


class Settings:
    """The settings of django_dlq with their defaults."""

    @property
    def DLQ_BROKERS(self) -> Mapping[str, Mapping[str, Any]]:
        """Brokers by alias, each {"BACKEND": dotted path, "OPTIONS": {...}}."""
        return getattr(settings, "DLQ_BROKERS", {})

    @property
    def DLQ_HANDLERS_MODULE(self) -> str:
        """The module of each installed app that holds its handlers, imported at start."""
        return getattr(settings, "DLQ_HANDLERS_MODULE", "handlers")

    @property
    def DLQ_MAX_MESSAGE_BYTES(self) -> int:
        """The most that key, body and headers of one message may take together."""
        return getattr(settings, "DLQ_MAX_MESSAGE_BYTES", 1_000_000)

    @property
    def DLQ_RELEASE(self) -> str:
        """The release of your code, e.g. the git sha; kept with every dead letter."""
        return getattr(settings, "DLQ_RELEASE", "")

    @property
    def DLQ_RELAY_BATCH(self) -> int:
        """The most messages that the relay sends, confirms and deletes at once."""
        return getattr(settings, "DLQ_RELAY_BATCH", 4000)

    @property
    def DLQ_RELAY_LEASE(self) -> timedelta:
        """How long a relay that falls silent keeps others from taking over."""
        return getattr(settings, "DLQ_RELAY_LEASE", timedelta(seconds=30))

    @property
    def DLQ_RELAY_POLL_INTERVAL(self) -> timedelta:
        """How long an idle relay waits at most before it looks for new messages again."""
        return getattr(settings, "DLQ_RELAY_POLL_INTERVAL", timedelta(milliseconds=8))

    @property
    def DLQ_RELAY_NOTIFY(self) -> bool:
        """Whether who publishes wakes an idle relay, through PostgreSQL's NOTIFY."""
        return getattr(settings, "DLQ_RELAY_NOTIFY", False)

    @property
    def DLQ_PUBLISH_TIMEOUT(self) -> timedelta:
        """How long the relay waits for the broker to confirm a batch; shorter than the lease."""
        return getattr(settings, "DLQ_PUBLISH_TIMEOUT", timedelta(seconds=10))

    @property
    def DLQ_POLL_INTERVAL(self) -> timedelta:
        """How long an idle process waits before it looks again."""
        return getattr(settings, "DLQ_POLL_INTERVAL", timedelta(milliseconds=100))

    @property
    def DLQ_CONSUMER_BATCH(self) -> int:
        """The most messages a consumer takes from the broker before it commits its offsets."""
        return getattr(settings, "DLQ_CONSUMER_BATCH", 100)

    @property
    def DLQ_CONSUMER_GRACE(self) -> timedelta:
        """How long handlers may go on after SIGTERM, or beyond their timeout, before the process ends."""
        return getattr(settings, "DLQ_CONSUMER_GRACE", timedelta(seconds=30))

    @property
    def DLQ_STORM_IN_ROW(self) -> int | None:
        """How many fresh messages of a handler may fail in a row, in a process, before its group stops; None: any."""
        return getattr(settings, "DLQ_STORM_IN_ROW", 50)

    @property
    def DLQ_STORM_SHARE(self) -> float | None:
        """Which share of a handler's last messages may fail, in a process, before its group stops; None: all."""
        return getattr(settings, "DLQ_STORM_SHARE", 0.5)

    @property
    def DLQ_STORM_WINDOW(self) -> int:
        """Of how many messages DLQ_STORM_SHARE is a share."""
        return getattr(settings, "DLQ_STORM_WINDOW", 200)

    @property
    def DLQ_MOST_DEATHS(self) -> int:
        """How many processes may die with one message in hand, or while they ask about one, before it is given up."""
        return getattr(settings, "DLQ_MOST_DEATHS", 3)

    @property
    def DLQ_RETRY_DELAYS(self) -> Sequence[timedelta] | None:
        """The ladder of retries for handlers without a policy of their own; None is RocketMQ's sixteen steps."""
        return getattr(settings, "DLQ_RETRY_DELAYS", None)

    @property
    def DLQ_NEVER_RETRY(self) -> Sequence[str]:
        """Dotted paths of exceptions after which a message is dead at once, whatever the handler's policy says."""
        return getattr(settings, "DLQ_NEVER_RETRY", ("django_dlq.exceptions.UnreadableBody",))

    @property
    def DLQ_PROBE_INTERVAL(self) -> timedelta:
        """The longest time between two probes of a dependency that is down."""
        return getattr(settings, "DLQ_PROBE_INTERVAL", timedelta(seconds=2))

    @property
    def DLQ_REPLAY_AFTER_OUTAGE(self) -> bool:
        """Whether the letters that died of an outage are replayed when it is over, without a person's doing."""
        return getattr(settings, "DLQ_REPLAY_AFTER_OUTAGE", False)

    @property
    def DLQ_PUBLISHED_RETENTION(self) -> timedelta | None:
        """How long published messages stay in the history; timedelta(0) keeps none, None keeps all."""
        return getattr(settings, "DLQ_PUBLISHED_RETENTION", timedelta(days=7))

    @property
    def DLQ_INBOX_RETENTION(self) -> timedelta | None:
        """How long a handled message is remembered, so that a duplicate is skipped; None remembers for ever."""
        return getattr(settings, "DLQ_INBOX_RETENTION", timedelta(days=90))

    @property
    def DLQ_CLOSED_RETENTION(self) -> timedelta | None:
        """How long resolved and discarded dead letters are kept; None keeps them for ever."""
        return getattr(settings, "DLQ_CLOSED_RETENTION", timedelta(days=30))

    @property
    def DLQ_REPLAY_WINDOW(self) -> timedelta:
        """How long a replayed message may be on its way to its handler: in the outbox, and then in the broker."""
        return getattr(settings, "DLQ_REPLAY_WINDOW", timedelta(days=7))

    @property
    def DLQ_MASKED_FIELDS(self) -> Sequence[str]:
        """Parts of JSON field and header names whose values only staff with the permission `unmask` may see."""
        return getattr(settings, "DLQ_MASKED_FIELDS", MASKED_FIELDS)

    @property
    def DLQ_HOLD_TOPICS(self) -> Sequence[str]:
        """Topics where a message that the broker refuses holds the later ones of its key; `*` ends a prefix."""
        return getattr(settings, "DLQ_HOLD_TOPICS", ())

    @property
    def DLQ_OUTBOX_RETENTION(self) -> timedelta | None:
        """How long Debezium's rows stay in the outbox; None where the relay sends it, which deletes what it sent."""
        return getattr(settings, "DLQ_OUTBOX_RETENTION", None)

    @property
    def DLQ_PRUNE(self) -> bool:
        """Whether retention deletes anything: the switch that stops it."""
        return getattr(settings, "DLQ_PRUNE", True)

    @property
    def DLQ_PRUNE_WINDOW(self) -> tuple[time, time] | None:
        """The times of day between which retention deletes, in TIME_ZONE; None is always."""
        return getattr(settings, "DLQ_PRUNE_WINDOW", None)

    @property
    def DLQ_PRUNE_PAUSE(self) -> timedelta:
        """How long retention rests between two batches."""
        return getattr(settings, "DLQ_PRUNE_PAUSE", timedelta(0))

    @property
    def DLQ_CHECKBACK_AFTER(self) -> timedelta:
        """How long after `prepare` nobody asks what became of a half message; RocketMQ's transactionTimeOut."""
        return getattr(settings, "DLQ_CHECKBACK_AFTER", timedelta(seconds=6))

    @property
    def DLQ_CHECKBACK_EVERY(self) -> timedelta:
        """How long after a check that brought no decision the next one comes; RocketMQ's transactionCheckInterval."""
        return getattr(settings, "DLQ_CHECKBACK_EVERY", timedelta(seconds=30))

    @property
    def DLQ_CHECKBACK_MOST(self) -> int:
        """How often a checker is asked before a person must decide; RocketMQ's transactionCheckMax."""
        return getattr(settings, "DLQ_CHECKBACK_MOST", 15)

    @property
    def DLQ_CHECKBACK_TIMEOUT(self) -> timedelta:
        """How long a checker may take that has no timeout of its own."""
        return getattr(settings, "DLQ_CHECKBACK_TIMEOUT", timedelta(seconds=10))

    @property
    def DLQ_CHECKBACK_THREADS(self) -> int:
        """How many checkers a process asks at once, each in a thread with a database connection of its own."""
        return getattr(settings, "DLQ_CHECKBACK_THREADS", 8)

    @property
    def DLQ_DECIDED_RETENTION(self) -> timedelta | None:
        """How long decided half messages are kept; None keeps them for ever."""
        return getattr(settings, "DLQ_DECIDED_RETENTION", timedelta(days=7))

    @property
    def DLQ_LOCK_KEYS(self) -> bool:
        """Whether transactions that publish one key wait for each other, to be sent in the order they commit."""
        return getattr(settings, "DLQ_LOCK_KEYS", False)

    @property
    def DLQ_CHECKBACK_HOSTS(self) -> Sequence[str]:
        """Hosts, as `host` or `host:port`, at which producers may be asked what became of a half message."""
        return getattr(settings, "DLQ_CHECKBACK_HOSTS", ())

    @property
    def DLQ_CHECKBACK_ALLOW_HTTP(self) -> bool:
        """Whether producers may be asked without TLS."""
        return getattr(settings, "DLQ_CHECKBACK_ALLOW_HTTP", False)

    @property
    def DLQ_CHECKBACK_ALLOW_PRIVATE(self) -> bool:
        """Whether producers may be asked at private addresses, those of this machine included."""
        return getattr(settings, "DLQ_CHECKBACK_ALLOW_PRIVATE", False)

    @property
    def DLQ_CHECKBACK_HTTP_TIMEOUT(self) -> timedelta:
        """How long a producer's whole answer may take, from the look-up of its name to the last byte."""
        return getattr(settings, "DLQ_CHECKBACK_HTTP_TIMEOUT", timedelta(seconds=5))


MASKED_FIELDS = (
    "password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "cookie", "session",
    "card", "cvv", "cvc", "iban", "ssn", "email", "phone", "address", "birth",
)  # fmt: skip

conf = Settings()
