"""Spans over OTLP/HTTP by OpenTelemetry, where an endpoint is set and the extra `otel` is installed.

Off, none of it is imported here, and a caller pays for one look at `on()`. W3C contexts travel without it all the same:
they are headers, and this only puts our own spans among them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from base.version import version

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span, SpanContext, Tracer

log = logging.getLogger("soba.tracing")

Kind = Literal["SERVER", "CONSUMER"]
Context = Mapping[str, str]
"""A W3C trace context: `traceparent`, and `tracestate` where there is one."""
MISSING = (
    "an OTLP endpoint is set, but OpenTelemetry (the extra `otel`) is not installed, so nothing is traced; run "
    "`.venv/bin/pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http`, "
    "or unset SOBA_OTEL_ENDPOINT (OTEL_EXPORTER_OTLP_ENDPOINT)"
)

_tracer: Tracer | None = None
_provider: TracerProvider | None = None


def on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def start(service: str, endpoint: str) -> None:
    """Send spans of `service` to the collector at `endpoint`, if there is one; without the extra, only say so."""
    if not endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning(MISSING)
        return
    use(service, BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))


def use(service: str, processor: SpanProcessor) -> None:
    """Give spans of `service` to `processor`. Sampling and limits are OpenTelemetry's own (OTEL_TRACES_SAMPLER, ...)."""
    global _tracer, _provider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    who = {"service.name": service, "service.namespace": "soba", "service.version": version()}
    _provider = TracerProvider(resource=Resource.create({**who, "process.pid": os.getpid()}), shutdown_on_exit=False)
    _provider.add_span_processor(processor)
    _tracer = _provider.get_tracer("soba", version())


def stop() -> None:
    """Send what is left and make no more spans."""
    global _tracer, _provider
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


@contextmanager
def span(name: str, kind: Kind, attributes: Mapping[str, Any], contexts: Sequence[Context] = ()) -> Iterator[Span]:
    """A span around what is done inside, which is now `current()`. Only while `on()`.

    It belongs to the trace of `contexts` where they are all one; it is linked to each, as OpenTelemetry's conventions for
    batches of messages ask.
    """
    from opentelemetry import trace
    from opentelemetry.context import Context as Place

    if (tracer := _tracer) is None:  # stopped meanwhile
        yield trace.INVALID_SPAN
        return
    found = [one for one in map(_extracted, contexts) if one.is_valid]
    links = [] if kind == "SERVER" else [trace.Link(one) for one in found]
    parent = trace.set_span_in_context(trace.NonRecordingSpan(found[0]), Place()) if len(found) == 1 else Place()
    made = tracer.start_span(name, parent, trace.SpanKind[kind], dict(attributes), links)
    with trace.use_span(made, end_on_exit=True):
        yield made


def current() -> dict[str, str]:
    """The context of the span that we are in; {} in none."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier


def failed(error: BaseException | None = None) -> None:
    """Note on the span that we are in, if any, that something went wrong."""
    if not on():
        return
    from opentelemetry import trace

    here = trace.get_current_span()
    if error is not None:
        here.record_exception(error)
    here.set_status(trace.StatusCode.ERROR, None if error is None else f"{type(error).__name__}: {error}")


def _extracted(context: Context) -> SpanContext:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return trace.get_current_span(TraceContextTextMapPropagator().extract(context)).get_span_context()
