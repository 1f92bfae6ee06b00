"""How often something is done again that may take long: as often as it costs a small share of the time."""

SHARE = 50
"""What took a second is not done again for so many seconds."""


class Pace:
    """When to do it next. least, most: seconds to rest, however short or long it took."""

    def __init__(self, least: float, most: float) -> None:
        self._least = least
        self._most = most
        self._took = 0.0
        self._next = 0.0

    def is_due(self, now: float) -> bool:
        """Tell whether it is time."""
        return now >= self._next

    def rest(self, now: float, took: float) -> None:
        """Take note that it has just been done, and how many seconds that took."""
        # Anything is slow once on a machine that is busy: the quicker of two in a row is what it takes.
        usual, self._took = min(took, self._took), took
        self._next = now + min(max(self._least, usual * SHARE), self._most)
