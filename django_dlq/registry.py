"""Which handlers there are, and which of them takes a message."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, cast

from django.utils.module_loading import import_string

from django_dlq import signals
from django_dlq.conf import conf
from django_dlq.exceptions import Expired, HandlerConflict, ProcessDied, UnknownHandler
from django_dlq.failure_rule import Choice, FailureRule, Fingerprint, decide
from django_dlq.message import ReceivedMessage
from django_dlq.probes import probes
from django_dlq.retry_policy import RetryPolicy
from django_dlq.time_limit import within
from django_dlq.unreachable import is_outage

HandlerFunction = Callable[[ReceivedMessage], object]
BatchFunction = Callable[[list[ReceivedMessage]], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A callable, the topics it takes messages from, and the consumer group in whose name it runs.

    Without tags it takes every message of its topics; `retry` None means the project's default policy. With a
    `batch_size` it is called with a list of up to so many messages. At most `concurrency` calls of it run at once in a
    process, each up to `timeout`, with at most so many messages per second. If it is `ordered`, it takes no message
    while one before it of the same key is a dead letter or waits for its retry. While what it `depends_on` is down it
    is not called; "" is nothing.
    """

    function: HandlerFunction | BatchFunction
    topics: tuple[str, ...]
    group: str
    tags: frozenset[str] = frozenset()
    retry: RetryPolicy | None = None
    broker: str = "default"
    on_failure: FailureRule | None = None
    fingerprint: Fingerprint | None = None
    batch_size: int | None = None
    concurrency: int = 1
    timeout: timedelta | None = None
    messages_per_second: float | None = None
    ordered: bool = False
    depends_on: str = ""
    # The dotted path of the callable, as dead letters name it; once, since each message asks for it several times.
    name: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", dotted_path(self.function))  # the dataclass is frozen

    def call(self, messages: Sequence[ReceivedMessage]) -> None:
        """Call the function with the messages as a list, or with each of them.

        Raises TimeLimitExceeded at the first database statement that it makes after its time is up.
        """
        if self.timeout is None:
            self._call(messages)
            return
        with within(self.timeout, about=Running(self, messages)) as call:
            self._call(messages)
        if call.overtime > 0:
            signals.tell(signals.handler_was_late, Handler, handler=self, messages=messages, overtime=call.overtime)

    def limited(self, message: ReceivedMessage) -> AbstractContextManager[object]:
        """Give what is called about a failure of the handler, as a compensation, a time limit of the same length."""
        if self.timeout is None:
            return nullcontext()
        return within(self.timeout, about=Running(self, (message,), is_handler=False))

    def _call(self, messages: Sequence[ReceivedMessage]) -> None:
        if self.batch_size is not None:
            cast("BatchFunction", self.function)(list(messages))
            return
        for message in messages:
            cast("HandlerFunction", self.function)(message)

    def takes(self, topic: str, tag: str) -> bool:
        """Tell whether a message of this topic with this tag is for this handler."""
        return topic in self.topics and (not self.tags or tag in self.tags)

    def delay_after(self, attempt: int, error: BaseException) -> timedelta | None:
        """Return how long to wait after this failed attempt (the first is 1), or None if the message is dead."""
        if isinstance(error, (Expired, ProcessDied, *(import_string(path) for path in conf.DLQ_NEVER_RETRY))):
            return None
        return (self.retry or _default_policy()).delay_after(attempt, error)

    def decide(self, message: ReceivedMessage, error: BaseException) -> Choice:
        """Return what shall be done about a failure; raise what the handler's own rule raises."""
        return decide(self.on_failure, message, error)

    def is_outage(self, error: BaseException) -> bool:
        """Tell whether a failure says that what this depends on is down."""
        return bool(self.depends_on) and is_outage(error, probes.of(self.depends_on).errors)

    def conflicts_with(self, other: "Handler") -> bool:
        """Tell whether some message would be taken by both: a group handles each message once."""
        return (
            self.group == other.group
            and bool(set(self.topics) & set(other.topics))
            and (not self.tags or not other.tags or bool(self.tags & other.tags))
        )


class Running(NamedTuple):
    """What runs under a handler's time limit: the handler, or a function that is called about its failure."""

    handler: Handler
    messages: Sequence[ReceivedMessage]
    is_handler: bool = True


@dataclass(slots=True)
class Registry:
    """The handlers of this process."""

    handlers: list[Handler] = field(default_factory=list)

    def add(self, handler: Handler) -> None:
        """Add a handler, in place of one of the same name; raise HandlerConflict if another takes the same messages."""
        others = [known for known in self.handlers if known.name != handler.name]
        for other in others:
            if handler.conflicts_with(other):
                raise HandlerConflict(
                    f"{handler.name} and {other.name} would both take messages of group {handler.group!r}; "
                    "give them different groups, or tags that do not overlap"
                )
            if handler.group == other.group and handler.broker != other.broker:
                raise HandlerConflict(f"group {handler.group!r} cannot consume from two brokers; use two groups")
        self.handlers = [*others, handler]

    def groups(self) -> list[str]:
        """Return the names of all groups, sorted."""
        return sorted({handler.group for handler in self.handlers})

    def dependencies(self) -> set[str]:
        """Return what handlers depend on."""
        return {handler.depends_on for handler in self.handlers if handler.depends_on}

    def of_group(self, group: str) -> list[Handler]:
        """Return the handlers of one group."""
        return [handler for handler in self.handlers if handler.group == group]

    def expect(self, group: str) -> list[Handler]:
        """Return the handlers of one group; raise UnknownHandler if it has none."""
        of_group = self.of_group(group)
        if not of_group:
            known = ", ".join(self.groups()) or "none"
            raise UnknownHandler(f"no handler has the group {group!r}; the groups are: {known}")
        return of_group

    def match(self, group: str, topic: str, tag: str) -> Handler | None:
        """Return the handler of this group that takes such a message, if there is one."""
        for handler in self.handlers:
            if handler.group == group and handler.takes(topic, tag):
                return handler
        return None


handlers = Registry()


def dotted_path(function: Callable[..., object]) -> str:
    """Return where a callable is defined, as text."""
    return f"{function.__module__}.{getattr(function, '__qualname__', repr(function))}"


def _default_policy() -> RetryPolicy:
    delays = conf.DLQ_RETRY_DELAYS
    return RetryPolicy() if delays is None else RetryPolicy(delays=delays)
