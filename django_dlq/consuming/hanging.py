"""What becomes of a consumer with a handler that does not end: the attempt is stored, and the process ends.

Python cannot stop a thread.
"""

from collections.abc import Callable
from contextlib import suppress

from django.db import DatabaseError

from django_dlq.consuming.delivery import Delivery
from django_dlq.consuming.hand import Hand
from django_dlq.consuming.settling import bury_hanging
from django_dlq.consuming.suspicion import Suspicion
from django_dlq.consuming.watch import last_words, tell_of_hanging, what_it_was_doing
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.time_limit import Call


class Hanging:
    """The calls of one consumer's handlers that hang. `end` leaves the group and ends the process.

    `is_alone`: whether the thread that has the hand runs the handlers too. `told_by`: who sends the signal.
    """

    def __init__(
        self, hand: Hand, suspicion: Suspicion, *, is_alone: bool, end: Callable[[], object], told_by: type
    ) -> None:
        self._hand, self._suspicion = hand, suspicion
        self._is_alone, self._end, self._told_by = is_alone, end, told_by
        self._call: Call | None = None

    def report(self, call: Call) -> None:
        """Hear of one that hangs, from the watch's thread."""
        if not self._deliveries(call):
            return  # a retry beside this, or another consumer's, in this process
        if self._is_alone:
            self._give_up(call)  # it is the thread that has the hand that hangs
        else:
            self._call = call

    def look(self) -> None:
        """End the process if something hangs; for the thread that has the hand."""
        if self._call is not None:
            self._give_up(self._call)

    def _give_up(self, call: Call) -> None:
        """Store a failed attempt for the messages of a handler that hangs, and end the process in its place.

        What else was in hand is rolled back and delivered again. If the attempt cannot be stored, it is not counted,
        and its message is delivered again too.
        """
        deliveries = self._deliveries(call)
        if not deliveries:
            return  # it has ended after all
        tell_of_hanging(call, self._told_by)
        with last_words(self._end), suppress(DatabaseError, BrokerUnavailable):
            for delivery in deliveries:
                bury_hanging(delivery, what_it_was_doing(call), is_handler=call.about.is_handler)
            self._hand.returned(deliveries)
            self._suspicion.returned(deliveries)
            self._suspicion.forget()

    def _deliveries(self, call: Call) -> list[Delivery]:
        messages = call.about.messages
        return [each for each in list(self._hand.running) if any(each.message is message for message in messages)]
