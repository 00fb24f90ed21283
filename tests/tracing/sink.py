"""A collector for tests: OTLP over HTTP with protobuf, on loopback; it can be slow or refuse."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One span as it came."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    failed: bool


class Sink:
    """What came so far."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.resources: list[dict[str, str]] = []
        self.raw = b""
        self.headers: list[dict[str, str]] = []
        self.pause_s = 0.0
        self.url = ""

    def traces(self) -> dict[str, list[Seen]]:
        found: dict[str, list[Seen]] = {}
        for one in self.spans:
            found.setdefault(one.trace, []).append(one)
        return found

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.raw += body
        self.headers.append(dict(request.headers))
        await asyncio.sleep(self.pause_s)
        told = ExportTraceServiceRequest.FromString(body)
        for group in told.resource_spans:
            resource = {one.key: one.value.string_value for one in group.resource.attributes}
            self.resources.append(resource)
            self.spans += [
                _seen(resource["service.name"], span)
                for scope in group.scope_spans
                for span in scope.spans
            ]
        return web.Response(body=b"", content_type="application/x-protobuf")


def _seen(service: str, span: Any) -> Seen:
    return Seen(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple(link.trace_id.hex() for link in span.links),
        attributes={
            one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes
        },
        failed=span.status.code == 2,
    )


@asynccontextmanager
async def listening() -> AsyncIterator[Sink]:
    """Take spans until the block ends; `Sink.url` is the endpoint's base."""
    sink = Sink()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", sink.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        sink.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield sink
    finally:
        await runner.cleanup()
