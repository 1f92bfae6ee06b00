"""Apache Kafka, through librdkafka."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from math import isqrt
from typing import Any

from django.core.checks import CheckMessage, Error

from django_dlq.brokers import kafka_options
from django_dlq.brokers.base import Broker, Receipt, Subscription
from django_dlq.brokers.kafka_client import Client, Consumer, KafkaError, KafkaException, Message, Producer, logger, why
from django_dlq.brokers.kafka_subscription import KafkaSubscription
from django_dlq.exceptions import BrokerUnavailable, MessageRefused
from django_dlq.message import Record

_TOPIC_REFUSALS = frozenset(
    {
        KafkaError._INVALID_ARG,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    }
)
# The broker says these of a whole batch, though perhaps one record of it is the cause.
_BATCH_REFUSALS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)
_REFUSALS = _TOPIC_REFUSALS | _BATCH_REFUSALS
_TAKEN_BACK = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
_LATE = "Kafka has not confirmed it in time"

Report = tuple[KafkaError | None, Message] | Exception | None
"""What became of a record: what the client reports later, or raises at once, or nothing that is known."""


class KafkaBroker(Broker):
    """Apache Kafka; OPTIONS are librdkafka's settings, for producers and consumers alike."""

    keeps_key_order = True
    has_tombstones = True
    has_exact_headers = True
    is_durable = True

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        super().__init__(alias, options)
        self._producer = Client()

    def send(self, records: Sequence[Record], timeout: float) -> list[Receipt]:
        """Send records; see Broker.send.

        Not promised: the order between a refused record and the later ones of its key, which are sent without it.
        """
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
        return kafka_options.producer_settings(self.options, timeout=timeout)


class _Sending:
    """One call of `send`."""

    def __init__(self, records: Sequence[Record], place: Client, settings: dict[str, Any], *, timeout: float) -> None:
        self.receipts: list[Receipt] = [Receipt(error=BrokerUnavailable("it was not sent"))] * len(records)
        self._records = records
        self._place = place
        self._settings = settings
        # What is left of the time is for taking back what was not confirmed.
        self._deadline = time.monotonic() + timeout - min(timeout / 10, 1.0)

    def run(self, indices: Sequence[int]) -> bool:
        """Send these records, and in smaller parts again what was rejected with its neighbours; False to stop here.

        A rejected batch breaks the client, and so fails whatever was to follow: nothing overtakes it. Parts of the root
        of the whole find the culprits in few round trips and few new clients, since each of those takes half a second.
        """
        reports = self._burst(indices)
        for index, report in zip(indices, reports, strict=True):
            self.receipts[index] = self._receipt(report)
        codes = [_reported(report) for report in reports]
        if len(indices) == 1 or _REFUSALS.isdisjoint(codes):
            return not any(self._is_open(index) for index in indices)
        again = [
            index for index, code in zip(indices, codes, strict=True) if code in _BATCH_REFUSALS or self._is_open(index)
        ]
        for index in again:
            self.receipts[index] = Receipt(error=BrokerUnavailable("it was rejected with others, and not yet alone"))
        size = isqrt(len(again)) or 1
        return all(self.run(again[start : start + size]) for start in range(0, len(again), size))

    def _burst(self, indices: Sequence[int]) -> list[Report]:
        """Give records to the client and return what became of each; nothing of them stays in the client."""
        reports: list[Report] = [None] * len(indices)

        # It only stores, since librdkafka's binding may call it with an exception already raised: any call would fail.
        def store(position: int, error: KafkaError | None, message: Message) -> None:
            reports[position] = (error, message)

        driver = self._connected()
        for position, index in enumerate(indices):
            raised = self._produce(driver, self._records[index], partial(store, position))
            if raised is not None:
                reports[position] = raised
                if not _is_refusal(raised):
                    break
        self._flush(driver)
        return reports

    def _produce(self, driver: Producer, record: Record, report: Any) -> Exception | None:
        while True:
            try:
                driver.produce(record.topic, record.body, record.key, on_delivery=report, headers=list(record.headers))
            except BufferError as full:
                if time.monotonic() > self._deadline:
                    return full
                self._serve(driver, 0.05)
            except (KafkaException, ValueError, TypeError) as error:
                return error
            else:
                return None

    def _flush(self, driver: Producer) -> None:
        while len(driver) and (left := self._deadline - time.monotonic()) > 0:
            self._serve(driver, left)
        if len(driver):
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

    def _connected(self) -> Producer:
        place = self._place
        if place.driver is None or place.settings != self._settings:
            place.is_broken, place.trouble, place.settings = False, "", self._settings
            place.driver = Producer({**self._settings, "error_cb": place.hear}, logger=logger)
        driver: Producer = place.driver
        return driver

    def _receipt(self, report: Report) -> Receipt:
        if isinstance(report, tuple):
            error, message = report
            if error is None:
                return Receipt(partition=message.partition(), offset=message.offset())
            if error.code() in _REFUSALS:
                return Receipt(error=MessageRefused(error.str()))
            late = error.code() in _TAKEN_BACK
            return Receipt(error=BrokerUnavailable(self._reason(_LATE if late else error.str())))
        if report is None:
            return Receipt(error=BrokerUnavailable(self._reason(_LATE)))
        kind = MessageRefused if _is_refusal(report) else BrokerUnavailable
        return Receipt(error=kind(why(report)))

    def _reason(self, text: str) -> str:
        return f"{text} ({self._place.trouble})" if self._place.trouble else text

    def _is_open(self, index: int) -> bool:
        return isinstance(self.receipts[index].error, BrokerUnavailable)


def _reported(report: Report) -> int | None:
    return report[0].code() if isinstance(report, tuple) and report[0] is not None else None


def _is_refusal(raised: Exception) -> bool:
    # Anything but the driver's own errors says that an argument cannot be sent at all.
    if isinstance(raised, KafkaException):
        return raised.args[0].code() in _REFUSALS
    return not isinstance(raised, BufferError)
