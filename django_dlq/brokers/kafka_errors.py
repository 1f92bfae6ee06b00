"""What Kafka's errors say: of the record itself, of others that were sent with it, or of nothing but the moment."""

from django_dlq.brokers.kafka_client import KafkaError, KafkaException
from django_dlq.exceptions import HeldBack

TOPIC_REFUSALS = frozenset(
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
BATCH_REFUSALS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)
REFUSALS = TOPIC_REFUSALS | BATCH_REFUSALS
TAKEN_BACK = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})

Trouble = KafkaError | Exception | None
"""Why a record was not stored: what the client reported later, or raised at once, or nothing that is known."""


def code_of(trouble: Trouble) -> int | None:
    """Return Kafka's number of what the client reported."""
    return trouble.code() if isinstance(trouble, KafkaError) else None


def is_final(trouble: Trouble) -> bool:
    """Tell whether it is this record that was refused or held back, not perhaps one of its neighbours."""
    if isinstance(trouble, Exception):
        return isinstance(trouble, HeldBack) or is_refusal(trouble)
    return code_of(trouble) in TOPIC_REFUSALS


def is_refusal(raised: Exception) -> bool:
    """Tell whether the client will never take a record for which it raised this."""
    # Anything but the driver's own errors says that an argument cannot be sent at all.
    if isinstance(raised, KafkaException):
        return raised.args[0].code() in REFUSALS
    return not isinstance(raised, BufferError)
