"""The one port of `relaydesk up`: webhooks go to ingest, everything else to desk.

In production an ingress does this. Bytes pass unchanged, since signatures cover them; event
streams are passed on piece by piece.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from libs.common.admin import listening

INGEST_PATHS = ("/webhooks/", "/plugin/")
MAX_BODY = 20 * 1024 * 1024
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

Ports = Callable[[], dict[str, int]]
"""The services' present public ports; a service that is down is missing."""


@asynccontextmanager
async def front(host: str, port: int, ports: Ports) -> AsyncIterator[int]:
    """Serve until the block ends; yields the bound port."""
    timeout = aiohttp.ClientTimeout(total=None, connect=1.0)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:

        async def relay(request: web.Request) -> web.StreamResponse:
            service = "ingest" if request.path.startswith(INGEST_PATHS) else "desk"
            bound = ports().get(service)
            if bound is None:
                return _unavailable(service)
            try:
                return await _pass_on(session, request, bound)
            except (aiohttp.ClientConnectionError, TimeoutError):
                return _unavailable(service)

        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", relay)
        async with listening(app, host, port) as own:
            yield own


async def _pass_on(
    session: aiohttp.ClientSession, request: web.Request, port: int
) -> web.StreamResponse:
    url = URL(f"http://127.0.0.1:{port}{request.raw_path}", encoded=True)
    headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP)
    async with session.request(
        request.method,
        url,
        headers=headers,
        data=request.content if request.body_exists else None,
        allow_redirects=False,
        skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
    ) as answer:
        response = web.StreamResponse(status=answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                response.headers.add(name, value)
        await response.prepare(request)
        try:
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
        except aiohttp.ClientError:  # the service died in the middle: the client sees a cut answer
            response.force_close()
            if request.transport is not None:
                request.transport.abort()
        return response


def _unavailable(service: str) -> web.Response:
    return web.Response(status=503, text=f"{service} is restarting\n", headers={"Retry-After": "1"})
