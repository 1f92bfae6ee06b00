"""A way to the real Kafka on which every answer takes some milliseconds more: python -m benchmarks.slow_kafka ADDRESS.

In a process of its own, and told on its standard input how long, as mock_kafka.py is.
"""

import queue
import socket
import sys
import threading
import time
from contextlib import suppress

from tests.scenarios.kafka_proxy import Change, KafkaProxy, frames_of


class SlowKafka(KafkaProxy):
    """Hand each answer over so long after it came, however many are on their way."""

    seconds = 0.0

    def _return(self, server: socket.socket, client: socket.socket, change: Change) -> None:
        late: queue.SimpleQueue[tuple[float, bytes] | None] = queue.SimpleQueue()
        threading.Thread(target=_hand_over, args=[late, client], daemon=True).start()
        with suppress(OSError):
            for frame in frames_of(server, change):
                late.put((time.monotonic() + self.seconds, frame))
        late.put(None)


def _hand_over(late: "queue.SimpleQueue[tuple[float, bytes] | None]", client: socket.socket) -> None:
    with suppress(OSError):
        while item := late.get():
            moment, frame = item
            time.sleep(max(0.0, moment - time.monotonic()))
            client.sendall(frame)
        client.shutdown(socket.SHUT_RDWR)


def main(upstream: str) -> None:
    """Print the address, then take a number of milliseconds per line until standard input closes."""
    with SlowKafka(upstream).running() as proxy:
        print(proxy.bootstrap, flush=True)
        for line in sys.stdin:
            proxy.seconds = int(line) / 1000
            print(line.strip(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
