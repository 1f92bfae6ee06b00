"""The logistics company: a service of its own that packs boxes and is sometimes down.

`python -m example_project.logistics_service PORT LOG`. It knows nothing of Django. What it did is in its log, one line
per request, which is its memory too: started again, it still knows each box.

    PUT /boxes/17   {"to": …, "address": …}   201 with a tracking number; 200 with the same one if asked again
    GET /switch     PUT /switch {"open": false}   closed, it answers 503 to everything about boxes
"""

import json
import sys
import threading
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from example_project.orphans import end_with_supervisor

SHIPPED = "shipped"
MOST_BYTES = 100_000

Answer = tuple[HTTPStatus, dict[str, Any]]


class Warehouse:
    """What has been shipped, and whether anybody is there."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.open = True
        self.boxes = {order: tracking_number(order) for order in shipped(log)}
        self._lock = threading.Lock()

    def pack(self, order: str) -> Answer:
        """Ship an order's box, once however often asked."""
        with self._lock:
            if not self.open:
                self._write("refused", order)
                return HTTPStatus.SERVICE_UNAVAILABLE, {"error": "closed"}
            if order in self.boxes:
                self._write("asked-again", order)
                return HTTPStatus.OK, {"tracking": self.boxes[order]}
            self._write(SHIPPED, order)
            self.boxes[order] = tracking_number(order)
            return HTTPStatus.CREATED, {"tracking": self.boxes[order]}

    def switch(self, *, to_open: bool) -> Answer:
        """Open or close."""
        with self._lock:
            self.open = to_open
            self._write("opened" if to_open else "closed", "-")
        return self.state()

    def state(self) -> Answer:
        """Tell whether it is open, and how many boxes have left."""
        return HTTPStatus.OK, {"open": self.open, "boxes": len(self.boxes)}

    def _write(self, what: str, order: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{datetime.now(UTC).isoformat()} {what} {order}\n")


class Counter(BaseHTTPRequestHandler):
    """The counter where requests are taken."""

    server: "LogisticsServer"
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        """Answer questions."""
        self._answer(*self.server.warehouse.state() if self.path == "/switch" else _not_found())

    def do_PUT(self) -> None:
        """Take orders."""
        body = self.rfile.read(min(MOST_BYTES, int(self.headers.get("Content-Length") or 0)))
        self._answer(*self._put(body))

    def _put(self, body: bytes) -> Answer:
        warehouse = self.server.warehouse
        if self.path == "/switch":
            return warehouse.switch(to_open=json.loads(body)["open"])
        if self.path.startswith("/boxes/"):
            return warehouse.pack(self.path.removeprefix("/boxes/"))
        return _not_found()

    def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing on the terminal: the warehouse has its own log."""


class LogisticsServer(ThreadingHTTPServer):
    """The service on a port of loopback."""

    daemon_threads = True

    def __init__(self, port: int, log: Path) -> None:
        self.warehouse = Warehouse(log)
        super().__init__(("127.0.0.1", port), Counter)


def shipped(log: Path) -> list[str]:
    """Read the orders of all boxes that have left, in this order, from a log."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [order for _, what, order in lines if what == SHIPPED]


def tracking_number(order: str) -> str:
    """Return the number of an order's box."""
    return f"LG{order.zfill(8)}"


def _not_found() -> Answer:
    return HTTPStatus.NOT_FOUND, {"error": "not here"}


def main() -> None:
    """Serve until ended."""
    end_with_supervisor()
    LogisticsServer(int(sys.argv[1]), Path(sys.argv[2])).serve_forever()


if __name__ == "__main__":
    main()
