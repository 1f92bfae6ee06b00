"""One member of a Kafka consumer group."""

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django_dlq.brokers.base import Subscription
from django_dlq.brokers.kafka_client import (
    Client,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
    logger,
    why,
)
from django_dlq.brokers.kafka_commits import Commits, leave
from django_dlq.brokers.kafka_records import record_of
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.message import Place, Record

SILENCE_SECONDS = 1.0
"""After so long without a poll a member is kept alive, so that the others of its group need not wait for a handler."""

MOST_SECONDS_BETWEEN_POLLS = 300
"""librdkafka's own default of max.poll.interval.ms, in seconds."""

# The member has left the group by being slow; the next poll joins it again.
_HARMLESS = frozenset({KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED})


class KafkaSubscription(Subscription):
    """One member of a Kafka consumer group; it joins with the first poll."""

    def __init__(self, topics: Sequence[str], settings: dict[str, Any]) -> None:
        self._topics = list(topics)
        self._settings = settings
        self._member = Client()
        # By topic and partition: the first and the last offset that came since it was assigned to this member.
        self._since: dict[Place, int] = {}
        self._until: dict[Place, int] = {}
        self._commits = Commits(self._member)
        self._complaints: set[str] = set()
        self._trouble: str | None = None
        self._revoked: set[Place] = set()
        # What was revoked while several messages were taken at once: before some of them, or after.
        self._revoked_between: set[Place] = set()
        # Came while nothing was to come: from a partition that was assigned at that moment.
        self._early: list[Message] = []
        self._is_paused = False
        self._held: set[Place] = set()
        limit = float(settings.get("max.poll.interval.ms", MOST_SECONDS_BETWEEN_POLLS * 1000)) / 1000
        self.longest_silence = min(SILENCE_SECONDS, limit / 4)

    def poll(self, limit: int, timeout: float) -> list[Record]:
        """Return some records; see Subscription.poll. A topic that does not exist (yet) is waited for."""
        self._trouble = None
        driver = self._joined()
        self._commits.pay()
        try:
            messages = self._messages(driver, limit, timeout)
        except KafkaException as error:  # a fatal one; the driver raises these whenever it is called
            self._member.is_broken = True
            raise BrokerUnavailable(why(error)) from error
        if self._trouble is not None and (not messages or self._member.is_broken):
            raise BrokerUnavailable(self._trouble)  # what a broken member took comes again, to the next one
        return self._own(driver, [record_of(message) for message in messages])

    def keep_alive(self) -> None:
        """Poll with all partitions paused; see Subscription.keep_alive. So rebalances need not wait for a handler."""
        driver = self._member.driver
        if driver is None or self._member.is_broken:
            return
        try:
            driver.pause(driver.assignment())
            self._is_paused = True
            message = driver.poll(0)
        except KafkaException as error:
            self._member.is_broken = True
            raise BrokerUnavailable(why(error)) from error
        if message is not None and self._is_sound(message):
            self._early.append(message)

    def hold(self, places: Collection[Place]) -> bool:
        """Pause these partitions and resume those held before; see Subscription.hold."""
        driver, held = self._member.driver, set(places)
        if held == self._held or driver is None or self._member.is_broken:
            return True
        try:
            assigned = [(partition, (partition.topic, partition.partition)) for partition in driver.assignment()]
            driver.pause([partition for partition, place in assigned if place in held - self._held])
            if not self._is_paused:  # else the next poll resumes them
                driver.resume([partition for partition, place in assigned if place in self._held - held])
        except KafkaException as error:
            self._member.is_broken = True
            raise BrokerUnavailable(why(error)) from error
        self._held = held
        return True

    def revoked(self) -> Collection[Place]:
        """Return the partitions that went to other members; see Subscription.revoked."""
        if not self._revoked:  # asked for each message
            return []
        revoked = list(self._revoked)
        # Another thread may be adding to it.
        self._revoked.difference_update(revoked)
        return revoked

    def commit(self, records: Iterable[Record]) -> None:
        """Say that these records are done; see Subscription.commit.

        What meets a rebalance is committed again before a later poll, for the partitions that are still this member's.
        Not promised: that it is committed when this returns, if the rebalance takes long.
        """
        self._commits.add(self._ends(records))

    def close(self) -> None:
        """Leave the group at once; see Subscription.close."""
        driver, self._member.driver = self._member.driver, None
        if driver is not None:
            leave(driver)

    def _joined(self) -> Consumer:
        if self._member.is_broken:
            self.close()
        if self._member.driver is None:
            self._member.is_broken = False
            self._revoked.update(self._since)
            self._since.clear()
            self._until.clear()
            self._commits.clear()
            self._early.clear()
            self._is_paused = False
            self._held.clear()
            driver = Consumer({**self._settings, "error_cb": self._hear}, logger=logger)
            driver.subscribe(self._topics, on_revoke=self._forget, on_lost=self._forget)
            self._member.driver = driver
        joined: Consumer = self._member.driver
        return joined

    def _messages(self, driver: Consumer, limit: int, timeout: float) -> list[Message]:
        if self._is_paused:
            driver.resume([each for each in driver.assignment() if (each.topic, each.partition) not in self._held])
            self._is_paused = False
        if self._early:
            self._revoked_between.clear()
            early, self._early = self._early[:limit], self._early[limit:]
            return early
        # `consume` waits for as many as it is asked for: so the first is awaited alone, then come those that are there.
        deadline = time.monotonic() + timeout
        message = driver.poll(timeout)
        while message is not None and not self._is_sound(message):
            message = driver.poll(max(0.0, deadline - time.monotonic()))
        if message is None:
            return []
        self._revoked_between.clear()
        rest = driver.consume(limit - 1, 0) if limit > 1 else []
        return [message, *(other for other in rest if self._is_sound(other))]

    def _own(self, driver: Consumer, records: list[Record]) -> list[Record]:
        """Return those whose partition is this member's, and note how far each partition has come since it is.

        The driver returns a message beside the revocation of its partition, if it took both from one queue. Were that
        message handled and committed, what is before it would never come to the partition's next owner.
        """
        places = [record.place for record in records]  # once: this is done for every message
        if new := set(places) - self._since.keys():
            assigned = {(partition.topic, partition.partition) for partition in driver.assignment()}
            if new & assigned & self._revoked_between:  # and given back: nobody can tell what came before that
                self._member.is_broken = True
                return []
            records = [record for record in records if record.place in assigned or record.place not in new]
            places = [record.place for record in records]
        for place, record in zip(places, records, strict=True):
            self._since.setdefault(place, record.offset or 0)
            self._until[place] = record.offset or 0
        return records

    def _is_sound(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._member.is_broken = True
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._complain(error.str())
        elif error.code() not in _HARMLESS:
            self._trouble = error.str()
        return False

    def _complain(self, text: str) -> None:
        if text not in self._complaints:
            self._complaints.add(text)
            logger.warning("%s; it is awaited", text)

    def _hear(self, error: KafkaError) -> None:
        self._member.hear(error)
        if error.code() in {KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._FATAL}:
            self._trouble = error.str()

    def _forget(self, driver: Consumer, partitions: Sequence[TopicPartition]) -> None:
        if driver is not self._member.driver:
            return  # one that was closed says so late; what it had is known as revoked
        if self._is_paused or self._held:
            # Or they would still be paused if they came back.
            driver.resume(list(partitions))
        lost = {(partition.topic, partition.partition) for partition in partitions}
        self._revoked |= lost
        self._revoked_between |= lost
        self._held -= lost
        self._early = [message for message in self._early if (message.topic(), message.partition()) not in lost]
        for place in lost:
            self._since.pop(place, None)
            self._until.pop(place, None)
        self._commits.forget(lost)

    def _ends(self, records: Iterable[Record]) -> dict[Place, int]:
        """Return the offsets to commit; none for partitions that were, even for a while, another member's."""
        ends: dict[Place, int] = {}
        for record in records:
            place, offset = record.place, record.offset or 0
            since, until = self._since.get(place), self._until.get(place, 0)
            if since is not None and since <= offset <= until and offset >= ends.get(place, 0):
                ends[place] = offset
        return {place: offset + 1 for place, offset in ends.items()}
