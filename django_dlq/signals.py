"""What happened. The machines send these signals, and neither log nor count: the functions below log them.

Each is sent with `sender` = the machine's class. Receivers run in the machine's process, after the fact was committed
unless said otherwise; an exception in a receiver is logged and does not stop the machine.
"""

import logging
from typing import Any

from django.dispatch import Signal, receiver

logger = logging.getLogger("django_dlq")

relay_started = Signal()  # owner, epoch: the lease was taken
relay_lost_lease = Signal()  # owner, epoch
messages_published = Signal()  # rows: the OutboxMessages that the broker has confirmed, and that are now history
broker_unavailable = Signal()  # broker: alias, error
database_unavailable = Signal()  # error
message_handled = Signal()  # message: ReceivedMessage, handler
message_skipped = Signal()  # message, why: "duplicate", "tag" or "group"
message_failed = Signal()  # letter: DeadLetter, now retrying or dead
letter_changed = Signal()  # letter, event: DeadLetterEvent; an act of a person or the end of a replay


def tell(signal: Signal, sender: Any, **facts: Any) -> None:
    """Send a signal so that a faulty receiver cannot stop a machine."""
    for _, answer in signal.send_robust(sender, **facts):
        if isinstance(answer, Exception):
            logger.error("a receiver of a django_dlq signal failed", exc_info=answer)


@receiver(relay_started)
def _log_relay_started(*, owner: str, epoch: int, **_: Any) -> None:
    logger.info("relay %s holds the lease, epoch %s", owner, epoch)


@receiver(relay_lost_lease)
def _log_relay_lost_lease(*, owner: str, epoch: int, **_: Any) -> None:
    logger.warning(
        "relay %s lost the lease of epoch %s; another relay may send what it had in hand again", owner, epoch
    )


@receiver(messages_published)
def _log_messages_published(*, rows: Any, **_: Any) -> None:
    logger.debug("published %s messages", len(rows))


@receiver(broker_unavailable)
def _log_broker_unavailable(*, broker: str, error: Exception, **_: Any) -> None:
    logger.warning("broker %s is unavailable: %s", broker, error)


@receiver(database_unavailable)
def _log_database_unavailable(*, error: Exception, **_: Any) -> None:
    logger.warning("the database is unavailable: %s", error)


@receiver(message_skipped)
def _log_message_skipped(*, message: Any, why: str, **_: Any) -> None:
    logger.debug("skipped %s in group %s: %s", message.message_key, message.group, why)


@receiver(message_failed)
def _log_message_failed(*, letter: Any, **_: Any) -> None:
    logger.warning(
        "%s letter %s: topic %s, message key %s, group %s: %s: %s",
        letter.state, letter.pk, letter.topic, letter.message_key, letter.group or "-",
        letter.error_class, letter.error_message.partition("\n")[0],
    )  # fmt: skip


@receiver(letter_changed)
def _log_letter_changed(*, letter: Any, event: Any, **_: Any) -> None:
    logger.info("letter %s %s by %s: now %s", letter.pk, event.kind, event.actor_name, letter.state)
