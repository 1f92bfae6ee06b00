"""How many messages a handler may be given in a time."""

import re
from dataclasses import dataclass

_TEXT = re.compile(r"(\d+(?:\.\d+)?)/(s|sec|second|m|min|minute|h|hour|d|day)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def per_second(rate: str | float) -> float:
    """Read "100/s", "30/min", "5/hour" or "1/day", or a number of messages per second; raise ValueError for others."""
    found = _TEXT.fullmatch(rate) if isinstance(rate, str) else None
    if found:
        number = float(found[1]) / _SECONDS[found[2][0]]
    elif isinstance(rate, (int, float)) and not isinstance(rate, bool):
        number = float(rate)
    else:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError(f'a rate is "100/s", "30/min", "5/hour" or a number per second above 0, not {rate!r}')
    return number


@dataclass(slots=True)
class TokenBucket:
    """Give `rate` tokens per second; those that nobody takes are kept for a second, but one at least.

    `now` is any clock that only goes forward, in seconds.
    """

    rate: float
    tokens: float = 1.0
    filled_at: float | None = None

    def there(self, now: float) -> int:
        """Return how many may be taken."""
        if self.filled_at is not None:
            self.tokens = min(max(1.0, self.rate), self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        return int(self.tokens)

    def take(self, number: int) -> None:
        """Take some of those that are there."""
        self.tokens -= number

    def wait(self) -> float:
        """Return how many seconds after the last look there will be one."""
        return max(0.0, (1.0 - self.tokens) / self.rate)
