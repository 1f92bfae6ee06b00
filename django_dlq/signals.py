"""What happened. The machines send these signals, and neither log nor count: the functions below log them.

Each is sent with `sender` = the machine's class. Receivers run in the machine's process, after the fact was committed
unless said otherwise; an exception in a receiver is logged and does not stop the machine.
"""

import logging
from typing import Any

from django.dispatch import Signal, receiver

logger = logging.getLogger("django_dlq")

relay_took_lanes = Signal()  # owner, lanes: {lane: epoch}
relay_gave_lanes = Signal()  # owner, lanes: to other relays, in good order
relay_lost_lanes = Signal()  # owner, lanes: others took them over, since this relay was silent for too long
messages_published = Signal()  # rows: what the broker has confirmed and is now history, with OutboxMessage's columns
broker_unavailable = Signal()  # broker: alias, error
broker_available = Signal()  # broker: alias that could not be reached, and has answered again
topic_unavailable = Signal()  # broker: alias, topic, error; the broker is well, but does not take all of this topic
topic_available = Signal()  # broker: alias, topic: of which the broker takes everything again
database_unavailable = Signal()  # error
completion_waits = Signal()  # owner, seconds for which a relay has waited to move to the history what is confirmed
message_handled = Signal()  # message: ReceivedMessage, handler
message_skipped = Signal()  # message, why: "duplicate", "tag", "group", or "decision" with a reason
message_failed = Signal()  # letter: DeadLetter, now retrying or dead
handler_was_late = Signal()  # handler, messages, overtime: seconds beyond its timeout; they are handled all the same
handler_hangs = Signal()  # handler, messages, overtime: seconds beyond its timeout; its process is about to end
partitions_left = Signal()  # group, places: taken over from a consumer that has not given them back
message_suspected = Signal()  # message, handler, deaths: of processes that had it in hand; it is handled alone
grace_is_over = Signal()  # seconds that a machine had to end in; its process is about to end without it
circuit_opened = Signal()  # dependency: Dependency, as its row is then; its handlers are called no more, for a while
circuit_closed = Signal()  # dependency: Dependency, as its row was before
letter_changed = Signal()  # letter, event: DeadLetterEvent; an act of a person or the end of a replay

group_stopped = Signal()  # stop: StoppedGroup, is_new; too much failed: the group takes nothing; again every minute
group_resumed = Signal()  # stop: StoppedGroup, actor_name, reason; somebody let the group go on
half_message_decided = Signal()  # half: HalfMessage, now committed or rolled back
half_message_checked = Signal()  # half: HalfMessage, check: HalfMessageCheck, what came of it
half_message_undecided = Signal()  # half: HalfMessage, about which its checker was asked as often as it may be
checker_missing = Signal()  # checker: a name that no checker here has, count: half messages that wait for it
checker_hangs = Signal()  # checker, half, overtime: seconds beyond its timeout; its process is about to end
switch_changed = Signal()  # pause: Pause, is_paused, actor_name, reason; somebody stopped sending, or went on


def tell(signal: Signal, sender: Any, **facts: Any) -> None:
    """Send a signal so that a faulty receiver cannot stop a machine."""
    if not signal.receivers:
        return
    for _, answer in signal.send_robust(sender, **facts):
        if isinstance(answer, Exception):
            logger.error("a receiver of a django_dlq signal failed", exc_info=answer)


@receiver(relay_took_lanes)
def _log_relay_took_lanes(*, owner: str, lanes: Any, **_: Any) -> None:
    logger.info("relay %s has taken %s lanes", owner, len(lanes))


@receiver(relay_gave_lanes)
def _log_relay_gave_lanes(*, owner: str, lanes: Any, **_: Any) -> None:
    logger.info("relay %s has given %s lanes to other relays", owner, len(lanes))


@receiver(relay_lost_lanes)
def _log_relay_lost_lanes(*, owner: str, lanes: Any, **_: Any) -> None:
    logger.warning(
        "relay %s was silent for too long and lost %s lanes; other relays may send what it had in hand again",
        owner, len(lanes),
    )  # fmt: skip


@receiver(messages_published)
def _log_messages_published(*, rows: Any, **_: Any) -> None:
    logger.debug("published %s messages", len(rows))


@receiver(broker_unavailable)
def _log_broker_unavailable(*, broker: str, error: Exception, **_: Any) -> None:
    logger.warning("broker %s is unavailable: %s", broker, error)


@receiver(broker_available)
def _log_broker_available(*, broker: str, **_: Any) -> None:
    logger.info("broker %s is available again", broker)


@receiver(topic_unavailable)
def _log_topic_unavailable(*, broker: str, topic: str, error: Exception, **_: Any) -> None:
    logger.warning("broker %s does not take all of topic %s, which rests in part: %s", broker, topic, error)


@receiver(topic_available)
def _log_topic_available(*, broker: str, topic: str, **_: Any) -> None:
    logger.info("broker %s takes all of topic %s again", broker, topic)


@receiver(database_unavailable)
def _log_database_unavailable(*, error: Exception, **_: Any) -> None:
    logger.warning("the database is unavailable: %s", error)


@receiver(completion_waits)
def _log_completion_waits(*, owner: str, seconds: float, **_: Any) -> None:
    logger.warning(
        "relay %s has waited for %.0f seconds to move to the history what is confirmed: is a table locked?",
        owner, seconds,
    )  # fmt: skip


@receiver(message_skipped)
def _log_message_skipped(*, message: Any, why: str, reason: str = "", **_: Any) -> None:
    logger.debug("skipped %s in group %s: %s", message.message_key, message.group, reason or why)


@receiver(message_failed)
def _log_message_failed(*, letter: Any, **_: Any) -> None:
    logger.warning(
        "%s letter %s: topic %s, message key %s, group %s: %s: %s",
        letter.state, letter.pk, letter.topic, letter.message_key, letter.group or "-",
        letter.error_class, letter.error_message.partition("\n")[0],
    )  # fmt: skip


@receiver(handler_was_late)
def _log_handler_was_late(*, handler: Any, messages: Any, overtime: float, **_: Any) -> None:
    logger.warning(
        "%s took %.1f s longer than its timeout for %s messages, the first with message key %s",
        handler.name, overtime, len(messages), messages[0].message_key,
    )  # fmt: skip


@receiver(handler_hangs)
def _log_handler_hangs(*, handler: Any, messages: Any, overtime: float, **_: Any) -> None:
    logger.error(
        "%s does not end: %.1f s beyond its timeout with %s messages, the first with message key %s; "
        "this counts as a failed attempt, and the process ends, since Python cannot stop a thread",
        handler.name, overtime, len(messages), messages[0].message_key,
    )  # fmt: skip


@receiver(partitions_left)
def _log_partitions_left(*, group: str, places: Any, **_: Any) -> None:
    logger.info(
        "%s partitions of group %s were not given back by whoever had them, the first of topic %s; if he has died, "
        "what he had in hand may be the cause, and is handled with care",
        len(places), group, places[0][0],
    )  # fmt: skip


@receiver(message_suspected)
def _log_message_suspected(*, message: Any, handler: Any, deaths: int, **_: Any) -> None:
    logger.warning(
        "deaths of processes with message key %s of group %s in hand: %s; %s is given it with nothing beside it",
        message.message_key, message.group, deaths, handler.name,
    )  # fmt: skip


@receiver(grace_is_over)
def _log_grace_is_over(*, seconds: float, **_: Any) -> None:
    logger.error(
        "what was in hand has not ended within %s seconds: the process ends, and it will be delivered again", seconds
    )


@receiver(circuit_opened)
def _log_circuit_opened(*, dependency: Any, **_: Any) -> None:
    logger.error(
        "the circuit of %s is open: %s; what needs it waits in the broker",
        dependency.name, _why_open(dependency),
    )  # fmt: skip


@receiver(circuit_closed)
def _log_circuit_closed(*, dependency: Any, **_: Any) -> None:
    logger.warning("the circuit of %s is closed again; it was open since %s", dependency.name, dependency.opened_at)


@receiver(letter_changed)
def _log_letter_changed(*, letter: Any, event: Any, **_: Any) -> None:
    logger.info("letter %s %s by %s: now %s", letter.pk, event.kind, event.actor_name, letter.state)


@receiver(group_stopped)
def _log_group_stopped(*, stop: Any, is_new: bool, **_: Any) -> None:
    logger.error(
        "group %s %s since %s: %s of %s fresh messages of %s failed, the last of %s: %s; "
        "nothing is taken until somebody resumes the group, or %s",
        stop, "is stopped" if is_new else "is still stopped", stop.stopped_at, stop.failed, stop.out_of, stop.handler,
        stop.error_class, _one_line(stop.error_message)[:200],
        "another release starts" if stop.release else "DLQ_RELEASE is set and changes",
    )  # fmt: skip


@receiver(group_resumed)
def _log_group_resumed(*, stop: Any, actor_name: str, reason: str, **_: Any) -> None:
    logger.warning("group %s resumed by %s: %s", stop, actor_name, _one_line(reason))


@receiver(half_message_decided)
def _log_half_message_decided(*, half: Any, **_: Any) -> None:
    logger.debug("half message %s %s by %s", half.message_id, half.state, half.decided_by)


@receiver(half_message_checked)
def _log_half_message_checked(*, half: Any, check: Any, **_: Any) -> None:
    logger.info("asked about half message %s: %s %s", half.message_id, check.answer, _one_line(check.error_message))


@receiver(half_message_undecided)
def _log_half_message_undecided(*, half: Any, **_: Any) -> None:
    if half.deaths:
        logger.error(
            "half message %s for topic %s is undecided: %s processes died while they asked %s; a person must decide",
            half.message_id, half.topic, half.deaths, half.checker or half.producer,
        )  # fmt: skip
        return
    logger.error(
        "half message %s for topic %s is undecided: %s was asked %s times and does not know; a person must decide",
        half.message_id, half.topic, half.checker or half.producer, half.most_checks,
    )  # fmt: skip


@receiver(checker_missing)
def _log_checker_missing(*, checker: str, count: int, **_: Any) -> None:
    logger.error("%s half messages wait for the checker %r, which this project does not have", count, checker)


@receiver(checker_hangs)
def _log_checker_hangs(*, checker: Any, half: Any, overtime: float, **_: Any) -> None:
    logger.error(
        "checker %s does not end: %.1f s beyond its timeout with half message %s; this counts as UNKNOWN, and the "
        "process ends, since Python cannot stop a thread",
        checker.name, overtime, half.message_id,
    )  # fmt: skip


@receiver(switch_changed)
def _log_switch_changed(*, pause: Any, is_paused: bool, actor_name: str, reason: str, **_: Any) -> None:
    logger.warning(
        "%s %s by %s: %s", "paused" if is_paused else "resumed", _one_line(str(pause)), actor_name, _one_line(reason)
    )


def _why_open(dependency: Any) -> str:
    if dependency.actor_name:
        return _one_line(f"by {dependency.actor_name}: {dependency.reason}")
    return _one_line(f"{dependency.error_class}: {dependency.error_message}")


def _one_line(text: str) -> str:
    return " ".join(text.split())
