"""Spans to an OpenTelemetry collector over OTLP/HTTP, in a thread beside; see `tracing`.

The SDK's own variables hold: `OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_SAMPLER*`, `OTEL_BSP_*`,
`OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`, `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`. The
queue is bounded: what a dead or slow collector does not take is dropped, and the end waits for it
`END_WITHIN_S` at most.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Self

from libs.common import tracing
from libs.common.tracing import ALLOWED, LONGEST, Attributes, Kind, Span

if TYPE_CHECKING:
    from opentelemetry import trace as api
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger(__name__)

END_WITHIN_S = 1.5
QUIET_S = 60.0
"""A collector that is away is told of once in so many seconds."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


def begin(service: str, version: str, environ: Mapping[str, str]) -> Callable[[], None]:
    """Record spans if the environment asks for it and the extra is installed; return the end.

    A wish that cannot be met is a line in the log, never a reason not to start.
    """
    if reason := _unwanted(environ):
        if reason != "not asked for":
            log.warning("tracing.off", extra={"reason": reason})
        return _nothing
    try:
        provider = _provider(service, version)
    except ImportError:
        log.warning("tracing.off", extra={"reason": "the extra `tracing` is not installed"})
        return _nothing
    except Exception as error:  # noqa: BLE001 (the SDK reads variables; a wrong one stops no service)
        reason = f"{type(error).__name__}: see the OTEL_ variables"
        log.warning("tracing.off", extra={"reason": reason})
        return _nothing
    for name in ("opentelemetry.exporter", "opentelemetry.sdk", "urllib3"):
        for handler_of in _loggers(name):
            handler_of.addFilter(_Rarely())
    tracing.record_with(_Recorder(provider.get_tracer("relaydesk", version)))
    log.info("tracing.on")
    return lambda: _end(provider)


def _unwanted(environ: Mapping[str, str]) -> str:
    if not any(environ.get(name) for name in _ENDPOINTS):
        return "not asked for"
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return "OTEL_SDK_DISABLED"
    if environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return "OTEL_TRACES_EXPORTER is not otlp"
    spoken = next((environ[name] for name in _PROTOCOLS if environ.get(name)), _SPOKEN)
    return "" if spoken == _SPOKEN else f"OTEL_EXPORTER_OTLP_PROTOCOL must be {_SPOKEN}"


def _provider(service: str, version: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 (an extra)
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=_resource(service, version), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _resource(service: str, version: str) -> Resource:
    """Return who we are; what the operator says of it stands above."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415

    ours = Resource(
        {
            "service.name": f"relaydesk-{service}",
            "service.namespace": "relaydesk",
            "service.version": version,
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        }
    )
    return Resource.create().merge(ours).merge(OTELResourceDetector().detect())


def _end(provider: TracerProvider) -> None:
    """Send what waits, in a thread that nobody waits for too long."""
    tracing.record_with(None)
    ending = threading.Thread(target=provider.shutdown, daemon=True)
    ending.start()
    ending.join(END_WITHIN_S)
    if ending.is_alive():
        log.warning("tracing.cut_short")


def _nothing() -> None:
    """End what was not begun."""


class _Rarely(logging.Filter):
    """Lets one line through in `QUIET_S`."""

    def __init__(self) -> None:
        super().__init__()
        self._told_at = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        if time.monotonic() - self._told_at < QUIET_S:
            return False
        self._told_at = time.monotonic()
        record.exc_info = None
        return True


def _loggers(name: str) -> list[logging.Logger]:
    """Return the loggers at and below *name* that exist by now."""
    known = logging.root.manager.loggerDict
    return [
        logging.getLogger(one)
        for one in [name, *known]
        if one == name or one.startswith(f"{name}.")
    ]


class _Recorder:
    """Makes the SDK's spans."""

    def __init__(self, tracer: api.Tracer) -> None:
        self._tracer = tracer

    def begin(
        self, name: str, kind: Kind, parent: str, links: Iterable[str], attributes: Attributes
    ) -> Span:
        from opentelemetry import trace as api  # noqa: PLC0415 (loaded long ago)

        context = None
        if known := _known(parent):
            context = api.set_span_in_context(api.NonRecordingSpan(known))
        made = self._tracer.start_span(
            name,
            context=context,
            kind=api.SpanKind[kind.upper()],
            attributes=_told(attributes),
            links=[api.Link(found) for one in links if (found := _known(one))],
        )
        return _Recorded(made)


class _Recorded:
    """One span of the SDK; see `tracing.Span`."""

    def __init__(self, span: api.Span) -> None:
        self._span = span
        self._before: Token[str] | None = None
        context = span.get_span_context()
        self.traceparent = (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        )

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(_told(attributes))

    def fail(self, kind: str) -> None:
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 (loaded long ago)

        self._span.set_attribute("error.type", kind[:LONGEST])
        self._span.set_status(StatusCode.ERROR)

    def __enter__(self) -> Self:
        self._before = tracing.swap(self.traceparent)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        if kind is not None:
            self.fail(kind.__name__)  # never its words: they may be a visitor's
        if self._before is not None:
            tracing.swap_back(self._before)
        self._span.end()


def _known(traceparent: str) -> api.SpanContext | None:
    """Return the context that a `traceparent` of ours, or one that was checked, names."""
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415 (loaded long ago)

    if not traceparent:
        return None
    _, trace, span, flags = traceparent.split("-")
    return SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(int(flags, 16)))


def _told(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {
        name: value[:LONGEST] if isinstance(value, str) else value
        for name, value in attributes.items()
        if name in ALLOWED
    }
