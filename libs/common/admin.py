"""/livez, /readyz and /metrics of every service, on a port of their own."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web, web_response
from prometheus_client import REGISTRY, disable_created_metrics, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from libs.common import build_info, readiness
from libs.common.errors import SettingsError

Checks = Callable[[], Awaitable[Mapping[str, bool]]]
"""What readiness depends on, by name; all must hold."""

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text"
"""Whoever takes this gets exemplars; the type and its version are OpenMetrics 1.0's."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter


@asynccontextmanager
async def serve_admin(host: str, port: int, checks: Checks) -> AsyncIterator[int]:
    """Serve until the block ends; yields the bound port.

    Liveness only says that the loop turns: it never depends on another process. Readiness says
    which dependency is missing.
    """
    build_info.show()

    async def asked() -> Mapping[str, bool]:
        found = await checks()
        readiness.note(found)
        return found

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        found = await asked()
        ready = all(found.values())
        return web.Response(
            status=200 if ready else 503,
            body=msgspec.json.encode({"ready": ready, "checks": dict(found)}),
            content_type="application/json",
        )

    async def metrics(request: web.Request) -> web.Response:
        await asked()
        body, kind = exposed(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    async with listening(app, host, port) as bound:
        yield bound


def exposed(accept: str) -> tuple[bytes, str]:
    """Return all metrics and their content type: OpenMetrics for whoever takes it, else classic."""
    for one in accept.split(","):
        kind, *settings = (part.strip() for part in one.split(";"))
        if kind.lower() == OPENMETRICS and "q=0" not in settings:
            page: bytes = openmetrics.generate_latest(REGISTRY)  # type: ignore[no-untyped-call]
            return page, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(REGISTRY), EXPOSITION


@asynccontextmanager
async def listening(
    app: web.Application,
    host: str,
    port: int,
    *,
    keepalive_s: float = 75.0,
    leaving: Callable[[], bool] = lambda: False,
    finish_s: float = 5.0,
) -> AsyncIterator[int]:
    """Serve *app* until the block ends; yields the bound port.

    While *leaving*, connections are closed behind their answers. Requests that have begun when the
    block ends get *finish_s* seconds.

    Bodies are never decompressed: signatures cover raw bytes, and bombs freeze the loop. aiohttp's
    own answers to malformed HTTP do not tell its version, and its logger, which writes a traceback
    with the offending bytes for each, stays silent: hostile input must cause a count, not a line.
    """
    web_response.SERVER_SOFTWARE = "relaydesk"  # type: ignore[attr-defined]
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)

    async def hang_up(_request: web.Request, response: web.StreamResponse) -> None:
        if leaving():
            close_behind(response)

    app.on_response_prepare.append(hang_up)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=keepalive_s,
        shutdown_timeout=finish_s,
        handler_cancellation=False,
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1024)
    try:
        await begin(site, host, port)
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def close_behind(response: web.StreamResponse) -> None:
    """Have the connection closed behind an answer whose headers are not yet sent, and say so."""
    response.force_close()
    response.headers["Connection"] = "close"


async def begin(site: web.TCPSite, host: str, port: int) -> None:
    """Start listening.

    Raises:
        SettingsError: The address cannot be had, most often because another process has it.
    """
    try:
        await site.start()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError(f"cannot listen on {host}:{port}: {reason}") from None
