"""Whether handlers may run, by the circuits of what they depend on; and who finds out when one may close.

The circuits are rows that all processes share. Each machine reads them at most once a second, and writes only when
something fails, or succeeds after a failure.
"""

import math
import random
import sys
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Final

from django_dlq import signals
from django_dlq.circuit_breaker import pause_after
from django_dlq.conf import conf
from django_dlq.consuming.seen import CLOSED, Seen
from django_dlq.fingerprint import class_path, storable, text_of
from django_dlq.models import Circuit, Dependency
from django_dlq.probes import Asked, Probe, probes
from django_dlq.registry import Handler

LOOK_EVERY: Final = 1.0
"""Seconds from one look at the circuits to the next."""

TRIAL: Final = timedelta(seconds=30)
"""How long nobody else tries a message while one is being tried, beyond its handler's time limit."""

WAIT: Final = 0.1
"""Seconds that a consumer with nothing but blocked messages waits before it looks for news."""

PROBE_MARGIN: Final = timedelta(seconds=5)
"""How long after a probe's timeout another process may ask, if this one has died."""

WITHOUT_PROBE: Final = 5
"""Times DLQ_PROBE_INTERVAL: the longest pause where a message is at stake."""

TRIALS_FOR_ONE_ATTEMPT: Final = 10
"""Without a probe nobody knows whether the message that is tried is to blame; so now and then it pays an attempt."""

NO_LIMIT: Final = sys.maxsize


class Circuits:
    """The circuits of what some handlers depend on. `look` and `allowance` are for one thread, the rest for any.

    With `inline` it looks every time that it is asked to, and waits for what probes say.
    """

    def __init__(self, handlers: Collection[Handler], *, inline: bool = False) -> None:
        self._names = sorted({handler.depends_on for handler in handlers if handler.depends_on})
        self._inline = inline
        # Other threads write to it: so whoever goes through it goes through a copy.
        self._seen: dict[str, Seen] = {}
        self._asked: dict[str, Asked] = {}
        self._hanging: dict[str, Asked] = {}
        self._looked = -math.inf

    def look(self) -> None:
        """Read the circuits if they were not within a second, ask the probes that are due, and hear the others."""
        if not self._names:
            return
        if self._inline or time.monotonic() - self._looked >= LOOK_EVERY:
            self._looked = time.monotonic()
            self._seen = {row.name: Seen.of(row) for row in Dependency.objects.seen_by(self._names)}
            for name, seen in list(self._seen.items()):
                if seen.state == Circuit.OPEN and seen.is_due and not seen.is_by_hand:
                    self._ask(probes.of(name))
        self._hear()

    def wait(self) -> float:
        """Return the seconds until there may be news of what is blocked; 0 if nothing is."""
        return 0.0 if self.is_closed else WAIT

    def blocks(self, handler: Handler) -> bool:
        """Tell whether the handler's circuit is not closed: then at most one message of all processes may be tried."""
        return bool(handler.depends_on) and self._of(handler).state != Circuit.CLOSED

    @property
    def to_replay(self) -> list[str]:
        """The dependencies that are up, and whose dead letters are to be replayed."""
        return [name for name, seen in list(self._seen.items()) if seen.to_replay and seen.state == Circuit.CLOSED]

    @property
    def is_closed(self) -> bool:
        """Whether nothing is blocked."""
        return not self._seen or all(seen.state == Circuit.CLOSED for seen in list(self._seen.values()))

    def allowance(self, handler: Handler) -> int:
        """Return how many messages the handler may be given now. One that it may try, it must be given."""
        if not self.blocks(handler):
            return NO_LIMIT
        name, seen = handler.depends_on, self._of(handler)
        without_probe = probes.of(name).function is None
        may_try = seen.state == Circuit.HALF_OPEN or (without_probe and not seen.is_by_hand)
        if not (may_try and seen.is_due):
            return 0
        lease = TRIAL + (handler.timeout or timedelta(0))
        is_mine = Dependency.objects.claim_trial(name, lease=lease, without_probe=without_probe)
        state = Circuit.HALF_OPEN if is_mine else seen.state
        self._seen[name] = replace(seen, state=state, is_due=False)
        return int(is_mine)

    def ended(self, handler: Handler, *, was_called: bool) -> None:
        """Take note that a message is done: if its handler was called, what it depends on is there."""
        seen = self._of(handler)
        if not was_called:
            self._told_nothing(handler)
        elif seen.state != Circuit.CLOSED:
            self._close(handler.depends_on)
        elif seen.failures:
            Dependency.objects.forget_failures(handler.depends_on)
            self._seen[handler.depends_on] = CLOSED

    def claims(self, handler: Handler, error: BaseException) -> bool:
        """Count a failure, and tell whether the circuit takes the blame: then the message goes back as if untouched.

        That is so while the circuit is not closed. The failures that open it, all but the last, are the messages' own.
        The probe is asked before a circuit opens, and before one that was half-open does so again: if it says that all
        is well, the message is to blame.
        """
        if not handler.is_outage(error):
            self._told_nothing(handler)
            return False
        name, probe = handler.depends_on, probes.of(handler.depends_on)
        row = Dependency.objects.count_failure(name, **_described(error))
        if row.state == Circuit.HALF_OPEN:
            return self._reopen(probe)
        if row.state == Circuit.CLOSED and row.failures >= probe.failures:
            return self._open(probe, error)
        self._seen[name] = Seen.of(row)
        return row.state != Circuit.CLOSED

    def suspects(self, handler: Handler, error: BaseException) -> bool:
        """Tell whether a failure that it has not claimed may be the dependency's all the same: no probe was content."""
        seen = self._of(handler)
        is_counted = seen.state == Circuit.OPEN or (seen.state == Circuit.CLOSED and seen.failures > 0)
        return is_counted and handler.is_outage(error)

    def _told_nothing(self, handler: Handler) -> None:
        """Let the next message be tried, if this one was, since its end says nothing of the dependency."""
        if self._of(handler).state == Circuit.HALF_OPEN:
            self._end_trial(handler.depends_on)

    def _open(self, probe: Probe, error: BaseException) -> bool:
        """Open a circuit, and close it again if the probe is content. Meanwhile nobody else pays for what fails."""
        name = probe.dependency
        lease = probe.timeout + PROBE_MARGIN if probe.function else self._pause(probe, 0)
        if not Dependency.objects.open(name, failures=probe.failures, pause=lease):
            return self._look_at(name).state != Circuit.CLOSED
        if probe.function is not None:
            answer = Asked(probe).wait().error
            if answer is None and Dependency.objects.take_back(name):
                self._seen[name] = CLOSED
                return False
            Dependency.objects.fail_probe(name, pause=self._pause(probe, 0), **_described(answer or error))
        self._look_at(name)
        signals.tell(signals.circuit_opened, Circuits, dependency=Dependency.objects.get(name=name))
        return True

    def _reopen(self, probe: Probe) -> bool:
        name = probe.dependency
        if probe.function is not None and Asked(probe).wait().error is None:
            self._end_trial(name)
            return False
        trials = self._look_at(name).trials
        Dependency.objects.fail_trial(name, pause=self._pause(probe, trials))
        self._look_at(name)
        return probe.function is not None or (trials + 1) % TRIALS_FOR_ONE_ATTEMPT != 0

    def _end_trial(self, name: str) -> None:
        Dependency.objects.end_trial(name)
        self._look_at(name)

    def _close(self, name: str) -> None:
        replays = probes.of(name).replay
        if replays is None:
            replays = conf.DLQ_REPLAY_AFTER_OUTAGE
        outage = Dependency.objects.filter(name=name).first()
        if Dependency.objects.close(name, replay_by="the end of the outage" if replays else ""):
            signals.tell(signals.circuit_closed, Circuits, dependency=outage)
        self._look_at(name)

    def _ask(self, probe: Probe) -> None:
        name = probe.dependency
        if probe.function is None:
            return  # a message will tell
        if name in self._asked or (name in self._hanging and self._hanging[name].hangs):
            return  # of a probe that hangs, threads would become ever more; another process may have better luck
        if Dependency.objects.claim_probe(name, lease=probe.timeout + PROBE_MARGIN):
            self._asked[name] = Asked(probe)

    def _hear(self) -> None:
        for name, asked in list(self._asked.items()):
            answer = asked.wait() if self._inline else asked.answer()
            if answer is None:
                continue
            if answer.error is None:
                Dependency.objects.half_open(name)
            else:
                pause = self._pause(probes.of(name), self._of_name(name).trials + 1)
                Dependency.objects.fail_probe(name, pause=pause, **_described(answer.error))
            self._look_at(name)
            self._hanging[name] = self._asked.pop(name)

    def _pause(self, probe: Probe, trials: int) -> timedelta:
        longest = conf.DLQ_PROBE_INTERVAL.total_seconds()
        if probe.function is None:
            longest *= WITHOUT_PROBE
        return timedelta(seconds=pause_after(trials, longest=longest, chance=random.random))

    def _look_at(self, name: str) -> Seen:
        row = Dependency.objects.seen_by([name]).first()
        self._seen[name] = seen = CLOSED if row is None else Seen.of(row)
        return seen

    def _of(self, handler: Handler) -> Seen:
        return self._of_name(handler.depends_on)

    def _of_name(self, name: str) -> Seen:
        return self._seen.get(name, CLOSED)


def _described(error: BaseException) -> dict[str, str]:
    return {"error_class": class_path(error), "error_message": storable(text_of(error))}


class _NotAsked(Circuits):
    """No circuits: every failure is the message's own."""

    def __init__(self) -> None:
        super().__init__(())

    def claims(self, handler: Handler, error: BaseException) -> bool:
        """Leave it to the message."""
        return False


NOT_ASKED: Final[Circuits] = _NotAsked()
