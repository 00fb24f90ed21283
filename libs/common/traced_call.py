"""The span of a call to the outside. Nobody outside is told of our traces."""

from __future__ import annotations

from collections.abc import Awaitable

from libs.common import tracing
from libs.common.channel import HttpCall, HttpReply

_ERROR_STATUS = 400


async def traced(exchange: Awaitable[HttpReply], call: HttpCall, host: str | None) -> HttpReply:
    """Perform a call in a span of its own, which tells host and status: a path may hold a token."""
    about: dict[str, tracing.Value] = {
        "http.request.method": call.method,
        "server.address": host or "",
    }
    with tracing.span(f"HTTP {call.method}", "client", about) as span:
        reply = await exchange
        span.set({"http.response.status_code": reply.status})
        if reply.status >= _ERROR_STATUS:
            span.fail(str(reply.status))
    return reply
