"""The offsets that one member of a Kafka consumer group commits, and those that it still owes."""

import threading
import time
from collections.abc import Collection, Mapping

from django_dlq.brokers.kafka_client import Client, Consumer, KafkaError, KafkaException, TopicPartition, logger
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.message import Place

COMMIT_SECONDS = 10.0
"""How long a commit may take; librdkafka itself would wait for the brokers to come back, however long."""

REBALANCE_SECONDS = 3.0
"""How long a commit that meets a rebalance is tried again at once; then it is owed."""

_CLOSE_SECONDS = 5.0
# Answers to a commit that say: the partition is another member's now.
_LOST = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._NO_OFFSET,
    }
)
# Answers to a commit that say: a rebalance is at work, which may leave the partition here. With KIP-848, the latter.
_STALE = frozenset({KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH})


class Commits:
    """What a member has to commit: by topic and partition, from which offset on it wants to be given messages."""

    def __init__(self, member: Client) -> None:
        self._member = member
        # What is to be committed once the rebalance that it met is over.
        self._owed: dict[Place, int] = {}

    def add(self, ends: Mapping[Place, int]) -> None:
        """Commit these, or owe them for as long as a rebalance is at work."""
        self._owed |= ends
        self.pay(patience=REBALANCE_SECONDS)

    def pay(self, patience: float = 0.0) -> None:
        """Commit what is owed; while the group's leader hands out the partitions, try for so many seconds."""
        if not self._owed:
            return
        offsets = [TopicPartition(*place, offset) for place, offset in self._owed.items()]
        started = time.monotonic()
        error = self._commit(offsets)
        while error is not None and error.code() == KafkaError.REBALANCE_IN_PROGRESS:
            if time.monotonic() - started > patience:
                return
            time.sleep(0.05)
            error = self._commit(offsets)
        if error is not None and error.code() in _STALE:
            return  # a later poll tells
        if error is not None and error.code() not in _LOST:
            raise BrokerUnavailable(error.str())
        self._owed.clear()

    def forget(self, places: Collection[Place]) -> None:
        """Owe nothing for partitions that are other members' now."""
        for place in places:
            self._owed.pop(place, None)

    def clear(self) -> None:
        """Owe nothing at all."""
        self._owed.clear()

    def _commit(self, offsets: list[TopicPartition]) -> KafkaError | None:
        """Commit and return the error, if any; give the member up if that takes too long."""
        driver = self._member.driver
        if driver is None:
            return None
        errors: list[KafkaError | None] = []
        committing = threading.Thread(
            target=_commit, args=[driver, offsets, errors], name="dlq-kafka-commit", daemon=True
        )
        committing.start()
        committing.join(COMMIT_SECONDS)
        if not errors:
            # A client must not be closed under a call; so it is left to leave the group when the call has returned.
            self._member.driver = None
            threading.Thread(target=_leave, args=[driver, committing], name="dlq-kafka-leave", daemon=True).start()
            raise BrokerUnavailable(f"Kafka has not confirmed a commit within {COMMIT_SECONDS:g} seconds")
        return errors[0]


def leave(driver: Consumer) -> None:
    """Let a driver leave its group, and wait some seconds at most until it has."""
    leaving = threading.Thread(target=_leave, args=[driver], name="dlq-kafka-leave", daemon=True)
    leaving.start()
    leaving.join(_CLOSE_SECONDS)


def _commit(driver: Consumer, offsets: list[TopicPartition], errors: list[KafkaError | None]) -> None:
    try:
        done = driver.commit(offsets=offsets, asynchronous=False)
    except KafkaException as error:
        errors.append(error.args[0])
    else:
        errors.append(next((place.error for place in done or () if place.error is not None), None))


def _leave(driver: Consumer, after: threading.Thread | None = None) -> None:
    if after is not None:
        after.join()
    try:
        driver.close()
    except (KafkaException, RuntimeError) as error:
        logger.info("a consumer ended with: %s", error)
