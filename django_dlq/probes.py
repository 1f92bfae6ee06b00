"""The dependencies of handlers: what tells that one is down, and how to ask whether it is up again."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NamedTuple, TypeVar

from django_dlq.by_class import check_classes
from django_dlq.connections import close_connections
from django_dlq.exceptions import HandlerConflict

ProbeFunction = Callable[[], object]
ProbeFn = TypeVar("ProbeFn", bound=ProbeFunction)

FAILURES: Final = 5
TIMEOUT: Final = timedelta(seconds=5)
NAME_LENGTH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What is known of a dependency; without a function, only a message can tell whether it is up."""

    dependency: str
    function: ProbeFunction | None = None
    errors: tuple[type[BaseException], ...] = ()
    failures: int = FAILURES
    timeout: timedelta = TIMEOUT
    replay: bool | None = None


@dataclass(slots=True)
class Probes:
    """The probes of this process, by dependency."""

    probes: dict[str, Probe] = field(default_factory=dict)

    def add(self, probe: Probe) -> None:
        """Add a probe, in place of one whose function has the same name; raise HandlerConflict for a second one."""
        known = self.probes.get(probe.dependency)
        if known is not None and _name(known) != _name(probe):
            raise HandlerConflict(
                f"{_name(known)} and {_name(probe)} are both probes of {probe.dependency!r}; a dependency has one"
            )
        self.probes[probe.dependency] = probe

    def of(self, dependency: str) -> Probe:
        """Return the probe of a dependency, or one without a function."""
        return self.probes.get(dependency) or Probe(dependency=dependency)


probes = Probes()


def probe(
    dependency: str,
    *,
    errors: Iterable[type[BaseException]] = (),
    failures: int = FAILURES,
    timeout: timedelta = TIMEOUT,
    replay: bool | None = None,
) -> Callable[[ProbeFn], ProbeFn]:
    """Register a function that tells whether a dependency is up: it returns, or raises why it is not.

    After so many `failures` in a row of handlers that depend on it the function is asked. If it raises, returns False,
    or takes longer than `timeout`, the handlers are not called until it succeeds. `errors` are the exceptions of the
    handlers that count, with their subclasses; by default refused and broken connections, timeouts, and HTTP's 502, 503
    and 504. `DependencyDown` always counts. With `replay` the letters that died of the outage are replayed when it is
    over; None leaves that to DLQ_REPLAY_AFTER_OUTAGE.

    The function runs in a thread of its own. Raises HandlerConflict for a second probe of one dependency.
    """
    check_dependency(dependency)
    check_classes("errors", classes := tuple(errors))
    if not isinstance(failures, int) or isinstance(failures, bool) or failures < 1:
        raise TypeError(f"failures is a number above 0, not {failures!r}")
    if not (isinstance(timeout, timedelta) and timeout > timedelta(0)):
        raise TypeError(f"timeout is a timedelta above 0, not {timeout!r}")

    def register(function: ProbeFn) -> ProbeFn:
        probes.add(
            Probe(
                dependency=dependency,
                function=function,
                errors=classes,
                failures=failures,
                timeout=timeout,
                replay=replay,
            )
        )
        return function

    return register


def check_dependency(name: object) -> None:
    """Raise TypeError unless this can be the name of a dependency."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LENGTH:
        raise TypeError(f"a dependency is a text of 1 to {NAME_LENGTH} characters, not {name!r}")


class Answer(NamedTuple):
    """What a probe has said: nothing is wrong, or what is."""

    error: BaseException | None = None


class Asked:
    """A probe that runs in a thread of its own, since it may hang."""

    def __init__(self, probe: Probe) -> None:
        assert probe.function is not None, "without a function there is nobody to be asked"
        self._function, self._limit = probe.function, probe.timeout.total_seconds()
        self._began = time.monotonic()
        self._answer: Answer | None = None
        self._thread = threading.Thread(target=self._run, name="dlq-probe", daemon=True)
        self._thread.start()

    @property
    def hangs(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def answer(self) -> Answer | None:
        """Return the answer if there is one; after the probe's timeout, that is a TimeoutError."""
        if self._answer is None and time.monotonic() - self._began > self._limit:
            return Answer(TimeoutError(f"the probe has not answered within {self._limit:g} seconds"))
        return self._answer

    def wait(self) -> Answer:
        """Wait for the answer, up to the probe's timeout."""
        self._thread.join(max(0.0, self._began + self._limit - time.monotonic()))
        return self.answer() or Answer(TimeoutError(f"the probe has not answered within {self._limit:g} seconds"))

    def _run(self) -> None:
        try:
            if self._function() is False:
                raise ConnectionError("the probe returned False")
        except BaseException as error:  # noqa: BLE001  # whatever a project's probe raises is its answer
            self._answer = Answer(error)
        else:
            self._answer = Answer()
        finally:
            close_connections()


def _name(probe: Probe) -> str:
    return f"{getattr(probe.function, '__module__', '')}.{getattr(probe.function, '__qualname__', probe.function)}"
