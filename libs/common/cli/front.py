"""One public port: webhooks and the plugin go to ingest, everything else to desk.

`relaydesk up` and the compose file use it; a cluster's ingress does the same. Bytes pass unchanged,
since signatures cover them; event streams are passed on piece by piece. It ends no TLS and keeps
no limits: that is the work of what stands before it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from libs.common.admin import listening, serve_admin
from libs.common.config import refuse_unknown

INGEST_PATHS = ("/webhooks/", "/plugin/")
MAX_BODY = 20 * 1024 * 1024
MAX_PORT = 65535
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

Origins = Callable[[], Mapping[str, str]]
"""Where the services answer now, `http://host:port` by name; one that is down is missing."""


def add_parser(commands: Any) -> None:
    """Add the sub-command."""
    parser = commands.add_parser("front", help="one public port before ingest and desk")
    setting = os.environ.get
    parser.add_argument("--host", default=setting("RELAYDESK_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=port_number, default=setting("RELAYDESK_PORT", "8080"))
    admin_port = setting("RELAYDESK_ADMIN_PORT", "0")
    parser.add_argument("--admin-port", type=port_number, default=admin_port)
    parser.add_argument("--ingest", required=True, type=_origin, metavar="URL")
    parser.add_argument("--desk", required=True, type=_origin, metavar="URL")
    parser.set_defaults(run=lambda args: uvloop.run(_run(args)))


def port_number(text: str) -> int:
    """Read an argument that is a port, 0 for any free one."""
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to {MAX_PORT}")
    return int(text)


def _origin(text: str) -> str:
    """Read an argument `http://host:port`; argparse turns a ValueError into a message."""
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host or url.path_qs != "/":
        raise ValueError(text)
    return str(url.origin())


async def _run(args: argparse.Namespace) -> int:
    """Serve until a signal. It is ready as soon as it listens: who is away is answered 503."""
    refuse_unknown(os.environ)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    origins = {"ingest": args.ingest, "desk": args.desk}

    async def checks() -> Mapping[str, bool]:
        return {"serving": not stop.is_set()}

    async with (
        front(args.host, args.port, lambda: origins) as port,
        serve_admin(args.host, args.admin_port, checks) as admin,
    ):
        print(f"relaydesk front port={port} admin_port={admin}", flush=True)
        await stop.wait()
    return 0


@asynccontextmanager
async def front(host: str, port: int, origins: Origins) -> AsyncIterator[int]:
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
            target = _target(request)
            if target is None:
                return web.Response(status=400, text="the request's target is not a path\n")
            service = "ingest" if request.path.startswith(INGEST_PATHS) else "desk"
            origin = origins().get(service)
            if origin is None:
                return _unavailable(service)
            try:
                return await _pass_on(session, request, origin + target)
            except (aiohttp.ClientConnectionError, TimeoutError):
                return _unavailable(service)

        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", relay)
        async with listening(app, host, port) as own:
            yield own


def _target(request: web.Request) -> str | None:
    """Return path and query as they were sent; a proxy's absolute form loses its origin."""
    scheme, absolute, rest = request.raw_path.partition("://")
    if absolute and scheme.lower() in {"http", "https"}:
        return "/" + rest.partition("/")[2]
    return request.raw_path if request.raw_path.startswith("/") else None


async def _pass_on(
    session: aiohttp.ClientSession, request: web.Request, address: str
) -> web.StreamResponse:
    url = URL(address, encoded=True)
    headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP)
    if request.remote:  # our own word is the last one, which is where believers begin to read
        before = headers.popall("X-Forwarded-For", [])
        headers["X-Forwarded-For"] = ", ".join([*before, request.remote])
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
