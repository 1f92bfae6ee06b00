"""Apache Kafka, through librdkafka."""

import time
from collections.abc import Mapping, Sequence
from math import isqrt
from typing import Any

from django.core.checks import CheckMessage, Error

from django_dlq.brokers import kafka_options
from django_dlq.brokers.base import HELD_BACK, Broker, Receipt, Subscription
from django_dlq.brokers.kafka_client import Client, Consumer, KafkaException, Message, Producer, logger, why
from django_dlq.brokers.kafka_errors import (
    BATCH_REFUSALS,
    REFUSALS,
    TAKEN_BACK,
    Trouble,
    code_of,
    is_final,
    is_refusal,
)
from django_dlq.brokers.kafka_subscription import KafkaSubscription
from django_dlq.exceptions import (
    BrokerError,
    BrokerUnavailable,
    HeldBack,
    MessageRefused,
    RejectedTogether,
    TopicUnavailable,
)
from django_dlq.message import Record

_tuple = tuple.__new__  # makes a named one in a third of the time
_LATE = "Kafka has not confirmed it in time"

_NOT_SENT = Receipt(error=BrokerUnavailable("it was not sent"))
_NOT_YET_ALONE = RejectedTogether("it was rejected with others, and not yet alone")
_TO_BE_SENT = (BrokerUnavailable, RejectedTogether)
# Errors that the driver raises instead of taking a record.
_RAISED = (BufferError, KafkaException, ValueError, TypeError)

Report = dict[Trouble, Message | None]
"""What became of a record: {None: message} if it was stored, {trouble: ...} if not, nothing while nothing is known.

The client writes it by a method of the dict, since this is done for each message and any call of Python costs. And the
binding may report while an exception is already raised: then anything that does more than to store would fail.
"""


class KafkaBroker(Broker):
    """Apache Kafka; OPTIONS are librdkafka's settings, for producers and consumers alike."""

    keeps_key_order = True
    has_tombstones = True
    has_exact_headers = True
    is_durable = True

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        super().__init__(alias, options)
        self._producer = Client()
        self._longest = 0.0

    def send(self, records: Sequence[Record], timeout: float) -> list[Receipt]:
        """Send records; see Broker.send."""
        sending = _Sending(records, self._producer, self._settings(timeout), timeout=timeout)
        sending.run(range(len(records)))
        return sending.receipts

    def subscribe(self, topics: Sequence[str], group: str) -> Subscription:
        """Join a consumer group; see Broker.subscribe."""
        return KafkaSubscription(topics, kafka_options.consumer_settings(self.options, group=group))

    def close(self) -> None:
        """Free the producer, if there is one."""
        self._producer.driver = None

    @classmethod
    def check(cls, alias: str, options: Mapping[str, Any]) -> list[CheckMessage]:
        """Return what is wrong with these OPTIONS; librdkafka itself is asked, with no address to connect to."""
        where = f"DLQ_BROKERS[{alias!r}]['OPTIONS']"
        found: list[CheckMessage] = []
        if not kafka_options.has_servers(options):
            found.append(Error(f"{where} has no 'bootstrap.servers'.", id="django_dlq.E101"))
        for name, reason in kafka_options.broken_promises(options):
            found.append(Error(f"{where} may not set {name!r}: {reason}.", hint="Remove it.", id="django_dlq.E102"))
        offline = kafka_options.without_servers(options)
        try:
            Producer(kafka_options.producer_settings(offline, timeout=1.0), logger=logger)
            Consumer(kafka_options.consumer_settings(offline, group="check"), logger=logger).close()
        except (KafkaException, ValueError, TypeError) as error:
            found.append(Error(f"librdkafka does not accept {where}: {why(error)}.", id="django_dlq.E103"))
        return found

    def _settings(self, timeout: float) -> dict[str, Any]:
        # The longest so far: a send that has less time needs no other client, and no other idea of a missing topic.
        self._longest = max(self._longest, timeout)
        return kafka_options.producer_settings(self.options, timeout=self._longest)


class _Sending:
    """One call of `send`."""

    def __init__(self, records: Sequence[Record], place: Client, settings: dict[str, Any], *, timeout: float) -> None:
        self.receipts = [_NOT_SENT] * len(records)
        self._records = records
        self._place = place
        self._settings = settings
        # By topic and key: the first record that was refused.
        self._refused: dict[tuple[str, bytes | None], int] = {}
        # What is left of the time is for taking back what was not confirmed.
        self._ends = time.monotonic() + timeout
        self._deadline = self._ends - min(timeout / 5, 2.0)
        # Whether Kafka has answered something else, when it did not confirm everything.
        self._is_there = False
        # Whether it has said that a batch cannot be stored, perhaps for one record of it.
        self._has_rejected = False

    def run(self, indices: Sequence[int]) -> bool:
        """Send these records, and in smaller parts again what was rejected with its neighbours; False to stop here.

        A rejected batch breaks the client, and so fails whatever was to follow: nothing overtakes it. Parts of the root
        of the whole find the culprits in few round trips and few new clients, since each of those takes half a second.
        """
        if self._has_rejected and time.monotonic() >= self._deadline:
            return False
        failed, again = self._confirm(indices, self._burst(indices)), list[int]()
        self._has_rejected |= any(code_of(trouble) in BATCH_REFUSALS for trouble in failed.values())
        is_rejected = len(indices) > 1 and any(code_of(trouble) in REFUSALS for trouble in failed.values())
        for index, trouble in failed.items():
            if is_rejected and not is_final(trouble):
                again.append(index)
                self.receipts[index] = Receipt(error=_NOT_YET_ALONE)
            else:
                self._fail(index, trouble)
        if not is_rejected:
            return not any(isinstance(self.receipts[index].error, _TO_BE_SENT) for index in failed)
        size = isqrt(len(again)) or 1
        return all(self.run(again[start : start + size]) for start in range(0, len(again), size))

    def _burst(self, indices: Sequence[int]) -> list[Report]:
        """Give records to the client and return what became of each; nothing of them stays in the client."""
        reports: list[Report] = [{} for _ in indices]
        driver, records, refused = self._connected(), self._records, self._refused
        produce = driver.produce
        for index, report in zip(indices, reports, strict=True):
            topic, key, body, headers, _, _, _ = record = records[index]
            if refused and refused.get((topic, key), index) < index:
                report[HELD_BACK.error] = None
                continue
            try:
                # Names of arguments would cost a tenth of the whole: the partition is the key's, the time is now.
                produce(topic, body, key, -1, report.setdefault, None, 0, [*headers])
            except _RAISED as raised:
                trouble = self._insist(driver, record, report) if isinstance(raised, BufferError) else raised
                if trouble is not None:
                    report[trouble] = None
                    if not is_refusal(trouble):
                        break
                    self._hold_back_after(index)
        self._flush(driver)
        return reports

    def _insist(self, driver: Any, record: Record, report: Report) -> Exception | None:
        """Offer a record again while the client's queue is full; return what went wrong at last."""
        while True:
            self._serve(driver, 0.05)
            try:
                driver.produce(record.topic, record.body, record.key, -1, report.setdefault, None, 0, [*record.headers])
            except _RAISED as raised:
                if not isinstance(raised, BufferError) or time.monotonic() > self._deadline:
                    return raised
            else:
                return None

    def _flush(self, driver: Producer) -> None:
        while len(driver) and (left := self._deadline - time.monotonic()) > 0:
            self._serve(driver, left)
        if len(driver):
            self._is_there = self._answers(driver)
            # All at once: if they expired one by one, a later record of a key might still be stored after an earlier
            # one was given up.
            self._place.is_broken = True
            driver.purge()
            self._serve(driver, 0.1)
        if self._place.is_broken:
            self._place.driver = None

    def _serve(self, driver: Producer, seconds: float) -> None:
        try:
            driver.flush(seconds)
        except (KafkaException, SystemError):
            # A fatal error, raised in passing (SystemError if a report was being stored): the reports say the rest.
            self._place.is_broken = True

    def _answers(self, driver: Producer) -> bool:
        """Ask whether Kafka is there at all, though it has not confirmed everything."""
        left = (self._ends - time.monotonic()) * 0.75
        try:
            return left > 0 and bool(driver.list_topics(self._records[0].topic, left).brokers)
        except (KafkaException, ValueError, TypeError):
            return False

    def _connected(self) -> Any:
        place = self._place
        if place.driver is None or place.settings != self._settings:
            place.is_broken, place.trouble, place.settings = False, "", self._settings
            place.driver = Producer({**self._settings, "error_cb": place.hear}, logger=logger)
        return place.driver

    def _confirm(self, indices: Sequence[int], reports: Sequence[Report]) -> dict[int, Trouble]:
        """Write the receipts of what has arrived, and return what has not, with the reasons."""
        failed: dict[int, Trouble] = {}
        for index, report in zip(indices, reports, strict=True):
            message = report.get(None)
            if message is None:
                failed[index] = next(iter(report), None)
            else:
                self.receipts[index] = _tuple(Receipt, (None, message.partition(), message.offset()))
        return failed

    def _fail(self, index: int, trouble: Trouble) -> None:
        self.receipts[index] = Receipt(error=self._error(trouble))
        if isinstance(self.receipts[index].error, MessageRefused):
            self._hold_back_after(index)

    def _error(self, trouble: Trouble) -> BrokerError:
        if isinstance(trouble, HeldBack):
            return trouble
        if isinstance(trouble, Exception):
            return (MessageRefused if is_refusal(trouble) else BrokerUnavailable)(why(trouble))
        if trouble is None or trouble.code() in TAKEN_BACK:
            if self._has_rejected:
                # Each rejection costs a new client: that takes the time, and Kafka is well.
                return _NOT_YET_ALONE
            return (TopicUnavailable if self._is_there else BrokerUnavailable)(self._reason(_LATE))
        if trouble.code() in REFUSALS:
            return MessageRefused(trouble.str())
        return BrokerUnavailable(self._reason(trouble.str()))

    def _reason(self, text: str) -> str:
        return f"{text} ({self._place.trouble})" if self._place.trouble else text

    def _hold_back_after(self, index: int) -> None:
        record = self._records[index]
        if record.key is not None:
            place = (record.topic, record.key)
            self._refused[place] = min(index, self._refused.get(place, index))
