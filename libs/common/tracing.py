"""Trace contexts (W3C) from hop to hop; spans, where OpenTelemetry is installed and asked for.

The context travels as text, `traceparent`, whether spans are recorded or not: a log line, an
exemplar and the next service know the trace either way. Without the extra `tracing`, or without
`OTEL_EXPORTER_OTLP_ENDPOINT`, `span` hands out one object that does nothing.

Attributes come from a closed list and hold no text of anybody: no message, no contact, no secret,
no URL path. What is raised inside a span is told by its type alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Literal, Protocol, Self

HEADER = "traceparent"
NOTHING: Mapping[str, str] = {}

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | int | float | bool
Attributes = Mapping[str, Value]

ALLOWED = frozenset(
    {
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "messaging.batch.message_count",
        "messaging.consumer.group.name",
        "messaging.destination.name",
        "messaging.system",
        "relaydesk.account",
        "relaydesk.attempt",
        "relaydesk.channel",
        "relaydesk.event",
        "relaydesk.outcome",
        "relaydesk.session",
        "relaydesk.verb",
        "relaydesk.workspace",
        "server.address",
    }
)
"""Names of attributes; any other is dropped. Names follow OpenTelemetry's conventions."""
LONGEST = 200
"""Characters of a value; the rest is cut off."""

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_TRACE_ID = slice(3, 35)
_SAMPLED = 1


class Span(Protocol):
    """What a `with` block of `span` has."""

    traceparent: str
    """Its context, for those who come after; empty where there is none."""

    def set(self, attributes: Attributes) -> None:
        """Note more about it."""

    def fail(self, kind: str) -> None:
        """Note that it went wrong, by a code."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """End."""


class Recorder(Protocol):
    """What makes spans; see `tracing_export`."""

    def begin(
        self, name: str, kind: Kind, parent: str, links: Iterable[str], attributes: Attributes
    ) -> Span:
        """Return a span that begins when it is entered."""
        ...


class _Silent:
    """The span that is none; one for all."""

    traceparent = ""

    def set(self, attributes: Attributes) -> None:
        pass

    def fail(self, kind: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        pass


SILENT: Span = _Silent()
_context: ContextVar[str] = ContextVar("traceparent", default="")
_recorder: Recorder | None = None

here = _context.get
"""Return the trace context of what is being worked on, as `traceparent`; "" where there is none."""


def record_with(recorder: Recorder | None) -> None:
    """Record spans from now on; None: no more."""
    global _recorder  # noqa: PLW0603 (one for the process, as its settings are)
    _recorder = recorder


def recording() -> bool:
    """Tell whether spans are recorded."""
    return _recorder is not None


def enter(traceparent: str) -> None:
    """Work on what has this context from here on; "" on what has none."""
    _context.set(traceparent)


def swap(traceparent: str) -> Token[str]:
    """Enter a context that `swap_back` leaves again; for recorders."""
    return _context.set(traceparent)


def swap_back(before: Token[str]) -> None:
    """Go back to the context before; in another task's context there is nothing to go back to."""
    with contextlib.suppress(ValueError):
        _context.reset(before)


def carried(headers: Mapping[str, str]) -> str:
    """Return the context that *headers* carry, as a message of ours does; "" where none."""
    return checked(headers.get(HEADER, ""))


def checked(given: str) -> str:
    """Return *given* if it is a `traceparent`, else ""; it may come from anybody."""
    return given if given and _TRACEPARENT.fullmatch(given) else ""


def told() -> dict[str, str]:
    """Return the headers that carry the present context."""
    given = _context.get()
    return {HEADER: given} if given else {}


def trace_id(traceparent: str) -> str:
    """Return the trace's id, 32 hexadecimal digits; "" where there is none."""
    return traceparent[_TRACE_ID]


def exemplar(traceparent: str) -> dict[str, str] | None:
    """Return the labels of an exemplar; None where nobody keeps the trace (it is not sampled)."""
    if not traceparent or not int(traceparent[-2:], 16) & _SAMPLED:
        return None
    return {"trace_id": traceparent[_TRACE_ID]}


def span(
    name: str,
    kind: Kind = "internal",
    attributes: Attributes = NOTHING,
    *,
    parent: str | None = None,
    links: Iterable[str] = (),
) -> Span:
    """Return a span for a `with` block; what is done inside has it as its context.

    Args:
        name: Of few: no ids, no paths.
        kind: Whose part it tells.
        attributes: Of `ALLOWED`.
        parent: A `traceparent`; None: the present context; "": it begins a trace.
        links: Further contexts that led to it.
    """
    if _recorder is None:
        return SILENT
    return _recorder.begin(
        name, kind, _context.get() if parent is None else parent, links, attributes
    )


def request(name: str, headers: Mapping[str, str], attributes: Attributes = NOTHING) -> Span:
    """Return the span of a request that came over HTTP; it goes on with its caller's trace.

    Without a recorder the caller's context is entered all the same. A connection's task serves one
    request after another, so what the last one left is forgotten here.
    """
    _context.set(carried(headers))
    return SILENT if _recorder is None else span(name, "server", attributes)
