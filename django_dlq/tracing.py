"""The trace that a message belongs to, from what publishes it to its handler and on to what that publishes.

It travels as W3C Trace Context does, in the headers `traceparent` and `tracestate`. Where OpenTelemetry's API is
installed, its current context is what counts, and its propagators decide about the headers. Without it, this keeps a
plain context of its own.
"""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

from django_dlq.message import RESERVED, Headers, ReceivedMessage, is_text

try:
    from opentelemetry import context, propagate, trace
except ImportError:
    HAS_OPENTELEMETRY = False
else:
    HAS_OPENTELEMETRY = True

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
TRACER = "django_dlq"
LONGEST_STATE = 512
WRITTEN = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """The trace and the span in which something happens, as hex digits; `state` is for tracing systems alone."""

    trace_id: str
    span_id: str
    flags: str
    state: str = ""

    @classmethod
    def parse(cls, traceparent: str, tracestate: str = "") -> "TraceContext | None":
        """Read the headers (W3C Trace Context, sections 3.2 and 3.3), or return None for what is not valid."""
        found = WRITTEN.fullmatch(traceparent)
        if found is None or (found["version"] == "00" and found["rest"]):
            return None
        if not found["trace"].strip("0") or not found["span"].strip("0"):
            return None
        state = tracestate if len(tracestate) <= LONGEST_STATE and tracestate.isascii() else ""
        return cls(trace_id=found["trace"], span_id=found["span"], flags=found["flags"], state=state)

    def child(self) -> "TraceContext":
        """Return a span of its own in the same trace."""
        return TraceContext(trace_id=self.trace_id, span_id=secrets.token_hex(8), flags=self.flags, state=self.state)

    def headers(self) -> Headers:
        """Return the headers with which whatever comes of this span says so."""
        parent = (TRACEPARENT, f"00-{self.trace_id}-{self.span_id}-{self.flags}".encode())
        return (parent, (TRACESTATE, self.state.encode())) if self.state else (parent,)


_current: ContextVar[TraceContext | None] = ContextVar("django_dlq_trace", default=None)
_UNCHANGED = nullcontext()


def current_headers() -> Headers:
    """Return the headers that a message published now carries on; none outside a trace, at hardly any cost."""
    if not HAS_OPENTELEMETRY:
        plain = _current.get()
        return () if plain is None else plain.headers()
    if not context.get_current():
        return ()
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple((name, text.encode()) for name, text in carrier.items() if name not in RESERVED and is_text(text))


def carry_on(headers: Headers, trace_headers: Headers) -> Headers:
    """Return a message's headers with those of the trace; as they are if the publisher has set its own."""
    own = {name for name, _ in headers}
    return headers if TRACEPARENT in own else (*headers, *(pair for pair in trace_headers if pair[0] not in own))


@contextmanager
def continuing(headers: Mapping[str, str]) -> Iterator[None]:
    """Go on with the trace that came with a request or a message, e.g. `request.headers`, until the block ends.

    Headers that are absent or not valid change nothing. With OpenTelemetry its instrumentation does this already.
    """
    if HAS_OPENTELEMETRY:
        token = context.attach(_from_headers(headers))
        try:
            yield
        finally:
            context.detach(token)
        return
    parent = TraceContext.parse(headers.get(TRACEPARENT, ""), headers.get(TRACESTATE, ""))
    before = _current.set(_current.get() if parent is None else parent.child())
    try:
        yield
    finally:
        _current.reset(before)


def handling(message: ReceivedMessage) -> AbstractContextManager[object]:
    """Handle a message in the trace that it came with; where OpenTelemetry's SDK is at work, in a span of its own."""
    if not _records():
        return continuing(message.headers) if _may_name_a_trace(message) else _UNCHANGED
    return trace.get_tracer(TRACER).start_as_current_span(
        f"process {message.topic}",
        context=_extracted(message),
        kind=trace.SpanKind.CONSUMER,
        attributes={
            "messaging.operation.type": "process",
            "messaging.destination.name": message.topic,
            "messaging.consumer.group.name": message.group,
            "messaging.message.id": message.message_id,
            "django_dlq.message_key": message.message_key,
            "django_dlq.attempt": message.attempt,
        },
    )


def handling_together(messages: Sequence[ReceivedMessage]) -> AbstractContextManager[object]:
    """Handle a batch; a list of one in the trace that it came with.

    Several messages came with several traces, and what is made of all of them is the child of none. Where
    OpenTelemetry's SDK is at work a batch is a span of its own with a link to each; elsewhere, what its handler
    publishes is in no trace.
    """
    if len(messages) == 1:
        return handling(messages[0])
    if not _records():
        return _outside()
    return trace.get_tracer(TRACER).start_as_current_span(
        f"process {messages[0].topic}",
        context=context.Context(),
        kind=trace.SpanKind.CONSUMER,
        attributes={
            "messaging.operation.type": "process",
            "messaging.destination.name": messages[0].topic,
            "messaging.consumer.group.name": messages[0].group,
            "messaging.batch.message_count": len(messages),
        },
        links=_links(messages),
    )


def _records() -> bool:
    """Tell whether somebody wants spans: the API alone, which many libraries bring along, makes none."""
    # Of the provider, since a tracer would be made anew for each message.
    return HAS_OPENTELEMETRY and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def _may_name_a_trace(message: ReceivedMessage) -> bool:
    """Tell whether a look at the headers is worth it: to decode and to search them takes longer than all the rest."""
    if not HAS_OPENTELEMETRY:
        return message.record.header(TRACEPARENT) is not None
    # Which headers its propagators read is up to the project.
    return any(name not in RESERVED for name, _ in message.record.headers)


@contextmanager
def _outside() -> Iterator[None]:
    if HAS_OPENTELEMETRY:
        token = context.attach(context.Context())
        try:
            yield
        finally:
            context.detach(token)
        return
    before = _current.set(None)
    try:
        yield
    finally:
        _current.reset(before)


def _links(messages: Sequence[ReceivedMessage]) -> "list[trace.Link]":
    traced = filter(_may_name_a_trace, messages)
    spans = (trace.get_current_span(_extracted(message)).get_span_context() for message in traced)
    return [trace.Link(span) for span in spans if span.is_valid]


def _extracted(message: ReceivedMessage) -> "context.Context":
    return _from_headers(message.headers) if _may_name_a_trace(message) else context.get_current()


def _from_headers(headers: Mapping[str, str]) -> "context.Context":
    try:
        return propagate.extract(headers)
    except Exception:  # noqa: BLE001  # a header that some propagator cannot read must not keep a message from being handled
        return context.get_current()
