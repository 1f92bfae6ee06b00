"""A Kafka cluster inside this process, with faults to order: `with MockKafka() as kafka: ...`.

It is the mock cluster of librdkafka, which the confluent-kafka wheel carries. It speaks the real protocol on loopback,
so any client of any process may use `kafka.bootstrap`. Run it alone with `python -m django_dlq.testing.mock_kafka`: the
first line it prints is the address (librdkafka chooses the ports), and it ends on SIGTERM or when its standard input
closes.

Not promised: transactions that abort, the order of an idempotent producer's batches, admin calls, more than the last
5 MiB of each partition, nor that librdkafka keeps this interface, which it calls experimental. For tests and
demonstrations only.
"""

import ctypes
import os
import signal
import sys
import threading
from types import TracebackType
from typing import Any, Self

import confluent_kafka.cimpl

PRODUCE, FETCH, OFFSET_COMMIT, HEARTBEAT, INIT_PRODUCER_ID = 0, 1, 8, 12, 22
"""Numbers of Kafka's APIs, for `fail_next`."""

DISCONNECT = -195
"""An error for `fail_next`: the connection breaks instead of an answer."""

_ALL = -1
_RD_KAFKA_PRODUCER = 0
_POINTER, _TEXT, _INT, _INT32 = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int32
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "conf_new": (_POINTER, []),
    "conf_set": (_INT, [_POINTER, _TEXT, _TEXT, _TEXT, ctypes.c_size_t]),
    "new": (_POINTER, [_INT, _POINTER, _TEXT, ctypes.c_size_t]),
    "destroy": (None, [_POINTER]),
    "mock_cluster_new": (_POINTER, [_POINTER, _INT]),
    "mock_cluster_destroy": (None, [_POINTER]),
    "mock_cluster_bootstraps": (_TEXT, [_POINTER]),
    "mock_topic_create": (_INT, [_POINTER, _TEXT, _INT, _INT]),
    "mock_topic_set_error": (None, [_POINTER, _TEXT, _INT]),
    "mock_partition_set_leader": (_INT, [_POINTER, _TEXT, _INT32, _INT32]),
    "mock_push_request_errors_array": (None, [_POINTER, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(_INT)]),
    "mock_clear_request_errors": (None, [_POINTER, ctypes.c_int16]),
    "mock_broker_set_down": (_INT, [_POINTER, _INT32]),
    "mock_broker_set_up": (_INT, [_POINTER, _INT32]),
    "mock_broker_set_rtt": (_INT, [_POINTER, _INT32, _INT]),
    "mock_group_initial_rebalance_delay_ms": (None, [_POINTER, _INT32]),
}


class MockKafkaMissing(RuntimeError):
    """The librdkafka that confluent-kafka uses here has no mock cluster that can be reached."""


class MockKafka:
    """Run a cluster from `with` to its end; `bootstrap` is its address."""

    def __init__(self, brokers: int = 1) -> None:
        self._brokers = brokers
        self._library: ctypes.CDLL | None = None
        self._client: int | None = None
        self._cluster: int | None = None

    def __enter__(self) -> Self:
        self._library = _load()
        configuration = self._call("conf_new")
        reason = ctypes.create_string_buffer(512)
        self._call("conf_set", configuration, b"log_level", b"0", reason, len(reason))
        self._client = self._call("new", _RD_KAFKA_PRODUCER, configuration, reason, len(reason))
        if not self._client:
            raise MockKafkaMissing(reason.value.decode())
        self._cluster = self._call("mock_cluster_new", self._client, self._brokers)
        # A real broker waits for more members of a new group; here that would only be three seconds per test.
        self._call("mock_group_initial_rebalance_delay_ms", self._cluster, 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        cluster, client, self._cluster, self._client = self._cluster, self._client, None, None
        if cluster:
            self._call("mock_cluster_destroy", cluster)
            self._call("destroy", client)

    @property
    def bootstrap(self) -> str:
        """The address for `bootstrap.servers`."""
        address: bytes = self._call("mock_cluster_bootstraps", self._running())
        return address.decode()

    @property
    def options(self) -> dict[str, str | int]:
        """The OPTIONS of a KafkaBroker for this cluster, whose groups take almost a session to settle."""
        return {"bootstrap.servers": self.bootstrap, "session.timeout.ms": 1500, "heartbeat.interval.ms": 100}

    def create_topic(self, topic: str, partitions: int = 4) -> None:
        """Create a topic; one that is merely used appears by itself, with four partitions."""
        self._check(self._call("mock_topic_create", self._running(), topic.encode(), partitions, 1))

    def fail_topic(self, topic: str, code: int) -> None:
        """Answer metadata requests for this topic with an error code of Kafka, until called with 0."""
        self._call("mock_topic_set_error", self._running(), topic.encode(), code)

    def fail_next(self, api: int, *codes: int) -> None:
        """Answer the next requests of one API with these error codes of Kafka, one each; 0 lets one pass."""
        errors = (ctypes.c_int * len(codes))(*codes)
        self._call("mock_push_request_errors_array", self._running(), api, len(codes), errors)

    def forget_failures(self, api: int) -> None:
        """Drop the errors ordered by `fail_next` that have not been given yet."""
        self._call("mock_clear_request_errors", self._running(), api)

    def lead(self, topic: str, partition: int, *, broker: int) -> None:
        """Make another broker (they count from 1) the leader of a partition."""
        self._check(self._call("mock_partition_set_leader", self._running(), topic.encode(), partition, broker))

    def down(self, broker: int = _ALL) -> None:
        """Cut the connections of one broker, or of all, and refuse new ones until `up`."""
        self._check(self._call("mock_broker_set_down", self._running(), broker))

    def up(self, broker: int = _ALL) -> None:
        """Take connections again."""
        self._check(self._call("mock_broker_set_up", self._running(), broker))

    def delay(self, milliseconds: int) -> None:
        """Answer every request only after this time; a record is stored before its answer."""
        self._check(self._call("mock_broker_set_rtt", self._running(), _ALL, milliseconds))

    def _running(self) -> int:
        if self._cluster is None:
            raise RuntimeError("the mock cluster runs only inside `with MockKafka() as kafka:`")
        return self._cluster

    def _call(self, name: str, *arguments: object) -> Any:
        return getattr(self._library, f"rd_kafka_{name}")(*arguments)

    def _check(self, code: int) -> None:
        if code:
            raise ValueError(f"the mock cluster refused this: {confluent_kafka.KafkaError(code).str()}")


def _load() -> ctypes.CDLL:
    # Symbols of a library are also looked for in the libraries it was linked to: so this finds the very librdkafka that
    # the client uses, whatever it is called and wherever the wheel has put it.
    library = ctypes.CDLL(confluent_kafka.cimpl.__file__)
    for name, (result, arguments) in _FUNCTIONS.items():
        try:
            function = getattr(library, f"rd_kafka_{name}")
        except AttributeError as error:
            raise MockKafkaMissing(
                f"librdkafka {confluent_kafka.libversion()[0]} hides its mock cluster here"
            ) from error
        function.restype, function.argtypes = result, arguments
    return library


def main() -> None:
    """Host a cluster until SIGTERM comes or standard input closes."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    with MockKafka(brokers=3) as kafka:
        sys.stdout.write(f"{kafka.bootstrap}\n")
        sys.stdout.flush()
        threading.Thread(target=_await_end_of_input, args=[ended], daemon=True).start()
        ended.wait()


def _await_end_of_input(ended: threading.Event) -> None:
    # Not through sys.stdin, whose lock Python needs in order to exit.
    while os.read(0, 4096):
        pass
    ended.set()


if __name__ == "__main__":
    main()
