"""UUIDs that begin with the time (version 7, RFC 9562), which Python's own library has since 3.14."""

import os
import threading
import time

_lock = threading.Lock()
_last = 0


def next_uuid7() -> int:
    """Return the 128 bits of a new one, greater than all before it in this process, whatever its clock does.

    48 bits are milliseconds, 12 are their fraction (RFC 9562, section 6.2, method 3), 62 are random.
    """
    global _last  # noqa: PLW0603
    moment = time.time_ns() * 4096 // 1_000_000
    with _lock:
        _last = moment = max(moment, _last + 1)
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return moment >> 12 << 80 | 0x7 << 76 | (moment & 0xFFF) << 64 | 0b10 << 62 | random
