import subprocess
import sys

import pytest
from django.db import transaction
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from django_dlq import deadletters, inbox, outbox, tracing
from django_dlq.consumer import Consumer
from django_dlq.exceptions import Reject
from django_dlq.message import ReceivedMessage, Record
from django_dlq.models import DeadLetter, OutboxMessage, PublishedMessage
from django_dlq.runner import until_idle
from django_dlq.tracing import TraceContext

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
INVALID = [
    "",
    "00",
    PARENT.upper(),
    f"ff-{TRACE}-{SPAN}-01",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"{PARENT}-more",
    f"00-{TRACE[1:]}-{SPAN}-01",
    "\\xff",
    "x" * 100_000,
]


@pytest.fixture
def plain(monkeypatch):
    """Let OpenTelemetry not be installed."""
    monkeypatch.setattr(tracing, "HAS_OPENTELEMETRY", False)


@pytest.fixture
def spans(monkeypatch):
    """Collect the spans that OpenTelemetry's SDK records."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing.trace, "get_tracer_provider", lambda: provider)
    return exporter


@pytest.fixture
def api():
    """Let only OpenTelemetry's API be there, as libraries bring it along: nothing records spans."""
    assert isinstance(trace.get_tracer("django_dlq"), trace.ProxyTracer)


@pytest.fixture(params=["plain", "api", "spans"])
def either(request):
    """Run a test without OpenTelemetry, with its API alone, and with its SDK."""
    return request.getfixturevalue(request.param)


def message(*headers, body=b"{}"):
    record = Record(topic="orders", body=body, headers=(("id", b"1"), *headers), partition=0, offset=0)
    return ReceivedMessage.of(record, "shipping")


def received(number, trace_id):
    headers = (("id", b"%d" % number), ("traceparent", f"00-{trace_id}-{SPAN}-01".encode()))
    return Record("orders", b"%d" % number, b"{}", headers, partition=0, offset=number)


def publish(topic="orders", **options):
    with transaction.atomic():
        return outbox.publish(topic, {}, **options)


def traced(row):
    """Return the trace and the span that a row's headers name."""
    parsed = TraceContext.parse(dict(row.headers)["traceparent"].decode())
    return parsed.trace_id, parsed.span_id


@pytest.mark.once
class TestContext:
    def test_the_headers_are_read_and_written_as_the_standard_says(self):
        found = TraceContext.parse(PARENT, "vendor=1")

        assert (found.trace_id, found.span_id, found.flags, found.state) == (TRACE, SPAN, "01", "vendor=1")
        assert found.headers() == (("traceparent", PARENT.encode()), ("tracestate", b"vendor=1"))

    def test_a_child_has_the_trace_and_a_span_of_its_own(self):
        parent = TraceContext.parse(PARENT)
        one, other = parent.child(), parent.child()

        assert one.trace_id == other.trace_id == TRACE
        assert len({SPAN, one.span_id, other.span_id}) == 3
        assert TraceContext.parse(one.headers()[0][1].decode()) == one

    @pytest.mark.parametrize("header", [*INVALID, f"{PARENT}\n"])
    def test_what_is_not_valid_is_nothing(self, header):
        assert TraceContext.parse(header) is None

    def test_a_later_version_of_the_standard_is_read_as_far_as_it_is_known(self):
        assert TraceContext.parse(f"cc-{TRACE}-{SPAN}-01-what-the-future-is-like").trace_id == TRACE

    @pytest.mark.parametrize("state", ["x" * 513, "k=\u20ac"])
    def test_a_state_that_may_not_be_passed_on_is_left_out(self, state):
        assert TraceContext.parse(PARENT, state).state == ""


@pytest.mark.django_db
class TestPublishing:
    def test_outside_a_trace_a_message_has_no_header_of_one(self, either):
        assert publish().headers == ()

    def test_what_is_published_in_a_trace_carries_it_on(self, either):
        with tracing.continuing({"traceparent": PARENT, "tracestate": "vendor=1"}):
            row = publish(headers={"x": "y"})
            (many,) = publish_many_of_one()

        assert traced(row)[0] == traced(many)[0] == TRACE
        assert row.headers[0] == ("x", b"y")
        assert dict(row.headers)["tracestate"] == b"vendor=1"
        assert publish().headers == ()

    def test_a_trace_that_the_publisher_names_itself_is_left_alone(self, either):
        with tracing.continuing({"traceparent": PARENT}):
            assert publish(headers={"traceparent": "mine"}).headers == (("traceparent", b"mine"),)

    @pytest.mark.parametrize("header", INVALID)
    def test_a_header_that_is_not_valid_is_no_trace_and_no_error(self, either, header):
        with tracing.continuing({"traceparent": header, "tracestate": "vendor=1"}):
            assert publish().headers == ()

    def test_a_span_of_opentelemetry_is_the_parent_and_its_baggage_travels_along(self, spans):
        tracer = tracing.trace.get_tracer("test")
        with tracer.start_as_current_span("checkout") as span:
            token = context.attach(baggage.set_baggage("tenant", "a b"))
            row = publish(headers={"baggage": "mine=1"})
            other = publish()
            context.detach(token)

        assert traced(row) == (f"{span.get_span_context().trace_id:032x}", f"{span.get_span_context().span_id:016x}")
        assert dict(row.headers)["baggage"] == b"mine=1"
        assert dict(other.headers)["baggage"] == b"tenant=a+b"


def publish_many_of_one():
    with transaction.atomic():
        return outbox.publish_many([outbox.Message("orders", {})])


class TestHandling:
    @pytest.mark.django_db
    @pytest.mark.parametrize("mode", ["plain", "api", "spans"])
    def test_what_a_handler_publishes_belongs_to_the_trace_of_its_message(self, mode, request, dlq, registry):
        request.getfixturevalue(mode)
        inbox.handler("orders", group="shipping")(lambda message: outbox.publish("parcels", {}))
        with tracing.continuing({"traceparent": PARENT}):
            publish()
        dlq.drain()

        order, parcel = (PublishedMessage.objects.get(topic=topic) for topic in ("orders", "parcels"))
        assert traced(order)[0] == traced(parcel)[0] == TRACE
        if mode != "api":  # which makes no spans
            assert traced(parcel)[1] not in (SPAN, traced(order)[1])

    @pytest.mark.django_db(transaction=True)
    def test_what_a_handler_in_a_thread_publishes_belongs_to_the_trace_of_its_message(self, either, broker, registry):
        inbox.handler("orders", group="shipping", concurrency=4)(
            lambda message: outbox.publish("parcels", {}, message_key=message.message_key)
        )
        broker.incoming += [received(number, f"{number:032x}") for number in range(1, 9)]
        assert until_idle(Consumer("shipping")) == 8

        parcels = {int(row.message_key): traced(row)[0] for row in OutboxMessage.objects.filter(topic="parcels")}
        assert parcels == {number: f"{number:032x}" for number in range(1, 9)}

    @pytest.mark.django_db
    def test_a_batch_of_one_belongs_to_the_trace_of_its_message(self, either, broker, registry):
        inbox.handler("orders", group="shipping", batch_size=8)(lambda messages: outbox.publish("parcels", {}))
        broker.incoming.append(received(1, TRACE))
        assert until_idle(Consumer("shipping")) == 1

        assert traced(OutboxMessage.objects.get())[0] == TRACE

    @pytest.mark.django_db
    @pytest.mark.parametrize("mode", ["plain", "api"])
    def test_where_nothing_records_spans_a_batch_of_several_is_in_no_trace(self, mode, request, broker, registry):
        request.getfixturevalue(mode)
        inbox.handler("orders", group="shipping", batch_size=8)(lambda messages: outbox.publish("parcels", {}))
        broker.incoming += [received(number, TRACE) for number in (1, 2)]
        with tracing.continuing({"traceparent": PARENT}):
            assert until_idle(Consumer("shipping")) == 2

        assert OutboxMessage.objects.get().headers == ()

    @pytest.mark.django_db
    def test_with_opentelemetry_a_batch_of_several_is_a_trace_of_its_own_with_a_link_to_each(
        self, spans, broker, registry
    ):
        inbox.handler("orders", group="shipping", batch_size=8)(lambda messages: outbox.publish("parcels", {}))
        broker.incoming += [received(1, f"{1:032x}"), received(2, f"{2:032x}"), received(3, "0" * 32)]
        assert until_idle(Consumer("shipping")) == 3

        (span,) = spans.get_finished_spans()
        assert span.parent is None
        assert [link.context.trace_id for link in span.links] == [1, 2]
        assert span.attributes["messaging.batch.message_count"] == 3
        assert traced(OutboxMessage.objects.get()) == (
            f"{span.context.trace_id:032x}",
            f"{span.context.span_id:016x}",
        )

    @pytest.mark.django_db
    def test_a_message_without_a_trace_is_handled_without_one(self, plain, dlq, registry):
        inbox.handler("orders", group="shipping")(lambda message: outbox.publish("parcels", {}))
        publish()
        dlq.drain()

        assert PublishedMessage.objects.get(topic="parcels").headers == ()

    @pytest.mark.django_db
    def test_a_trace_goes_on_from_a_dead_letter_through_its_replay(self, either, dlq, registry):
        fails = [True]

        def handle(message):
            if fails:
                raise Reject("not yet")
            outbox.publish("parcels", {})

        inbox.handler("orders", group="shipping")(handle)
        with tracing.continuing({"traceparent": PARENT}):
            publish()
        dlq.drain()
        fails.clear()
        with tracing.continuing({"traceparent": f"00-{'a' * 32}-{SPAN}-01"}):
            deadletters.replay(DeadLetter.objects.get(), actor="ana")
        assert traced(OutboxMessage.objects.get())[0] == TRACE
        dlq.drain()

        assert traced(PublishedMessage.objects.get(topic="parcels"))[0] == TRACE

    @pytest.mark.django_db
    def test_a_compensation_belongs_to_the_trace_too(self, either, dlq, registry):
        def handle(message):
            raise ValueError

        undo = inbox.Compensate(lambda message, error: outbox.publish("refunds", {}))
        inbox.handler("orders", group="shipping", on_failure={ValueError: undo})(handle)
        with tracing.continuing({"traceparent": PARENT}):
            publish()
        dlq.drain()

        assert traced(PublishedMessage.objects.get(topic="refunds"))[0] == TRACE

    @pytest.mark.once
    @pytest.mark.parametrize("header", [header.encode() for header in INVALID] + [b"\xff\x00", None])
    def test_a_header_that_is_not_valid_is_ignored(self, either, header):
        with tracing.handling(message(("traceparent", header), ("tracestate", b"\xff"))):
            headers = dict(tracing.current_headers())

        assert TRACE not in str(headers)

    @pytest.mark.once
    def test_headers_that_name_no_trace_are_not_decoded(self, either, monkeypatch):
        monkeypatch.setattr(ReceivedMessage, "headers", property(pytest.fail))
        ours = message(("dlq-message-key", b"order-1"), ("dlq-tag", b"paid"))

        with tracing.handling(ours):
            assert dict(tracing.current_headers()).keys() <= {"traceparent"}  # of a span of its own
        with tracing.handling_together([ours, ours]):
            assert dict(tracing.current_headers()).keys() <= {"traceparent"}

    @pytest.mark.once
    def test_the_trace_ends_with_the_handler_however_that_ends(self, either):
        with pytest.raises(SystemExit), tracing.handling(message(("traceparent", PARENT.encode()))):
            sys.exit(3)

        assert tracing.current_headers() == ()

    @pytest.mark.once
    def test_opentelemetry_records_a_span_with_the_message_and_the_error(self, spans):
        with pytest.raises(ValueError, match="no"), tracing.handling(message(("traceparent", PARENT.encode()))):
            raise ValueError("no")

        (span,) = spans.get_finished_spans()
        assert (span.name, span.kind) == ("process orders", trace.SpanKind.CONSUMER)
        assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
        assert span.attributes["messaging.message.id"] == "1"
        assert span.attributes["messaging.consumer.group.name"] == "shipping"
        assert span.status.status_code is trace.StatusCode.ERROR
        assert [event.name for event in span.events] == ["exception"]

    @pytest.mark.once
    def test_a_propagator_that_fails_keeps_no_message_from_being_handled(self, spans, monkeypatch):
        monkeypatch.setattr(propagate, "extract", lambda headers: 1 / 0)
        ran = []
        with tracing.handling(message()):
            ran.append(True)

        assert ran == [True]

    @pytest.mark.django_db
    def test_failures_have_one_cause_whether_or_not_they_are_traced(self, request, dlq, registry):
        inbox.handler("orders", group="shipping")(lambda message: 1 / 0)
        for mode in ("spans", "plain"):
            request.getfixturevalue(mode)
            publish(headers={"traceparent": PARENT})
            dlq.drain()

        assert len(set(DeadLetter.objects.values_list("fingerprint", flat=True))) == 1
        assert DeadLetter.objects.count() == 2


@pytest.mark.once
def test_opentelemetry_need_not_be_installed():
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from django_dlq import tracing; assert not tracing.HAS_OPENTELEMETRY\n"
        f"with tracing.continuing({{'traceparent': {PARENT!r}}}): assert {TRACE!r} in str(tracing.current_headers())"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
