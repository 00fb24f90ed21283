"""The HTTP server: aiohttp's low-level one, without the router and middlewares of its framework.

A flat table of addresses and constant answers take a quarter off the cost of a request; what is
used is aiohttp's public interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web, web_response

from libs.common.admin import begin
from services.ingest.answers import last_of
from services.ingest.tasks import end

Handler = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]
"""Answers a request to an address whose key (account or app) is the second argument."""

KEEPALIVE_S = 75.0
"""Longer than usual proxies keep an idle connection (60 s), so that we never close first."""
FIRST_REQUEST_WITHIN_S = 12.0
"""A connection that has not sent the headers of one request by then is closed."""

_LOOK_EVERY_S = 2.0


class Table:
    """The addresses `/webhooks/<endpoint>/<key>[/<part>]`, and those of the plugin and its pages.

    These are `/chat/<key>`, and `/chat/_/<key>` for what it loads, which are of the endpoint `chat`
    with the part `page` or `file`; `/plugin/…` likewise. Anything else goes to *otherwise*.
    """

    def __init__(self, served: Mapping[tuple[str, str], Handler], otherwise: Handler) -> None:
        self._served = served
        self._otherwise = otherwise
        self.heard: set[web.RequestHandler] = set()
        """Connections that have sent a request."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer *request*."""
        self.heard.add(request.protocol)
        endpoint, part, key = _place(request.path.split("/"))
        handler = self._served.get((endpoint, part))
        if handler is None or not key:
            return await self._otherwise(request, "")
        return await handler(request, key)


def _place(steps: list[str]) -> tuple[str, str, str]:
    """Return endpoint, part and key of a path's steps; the key is empty where it has none."""
    match steps:
        case ["", "webhooks", endpoint, key]:
            return endpoint, "", key
        case ["", "webhooks", endpoint, key, part] if part:
            return endpoint, part, key
        case ["", ("chat" | "plugin") as site, "_", key]:
            return site, "file", key
        case ["", ("chat" | "plugin") as site, key]:
            return site, "page", key
        case _:
            return "", "", ""


@asynccontextmanager
async def listening(
    table: Table,
    host: str,
    port: int,
    *,
    closing: Callable[[], None],
    leaving: Callable[[], bool] = lambda: False,
    finish_s: float = 5.0,
) -> AsyncIterator[int]:
    """Serve until the block ends; yields the bound port. *closing* is called when it ends.

    While *leaving*, connections are closed behind their answers. Requests that have begun when the
    block ends get *finish_s* seconds.

    Bodies are never decompressed: signatures cover raw bytes, and bombs freeze the loop.
    """
    # In aiohttp's own answers to malformed HTTP, which would tell its version.
    web_response.SERVER_SOFTWARE = "relaydesk"  # type: ignore[attr-defined]

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = await table(request)
        return last_of(response, request) if leaving() else response

    server = web.Server(
        answer,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=KEEPALIVE_S,
        handler_cancellation=False,
    )
    runner = web.ServerRunner(server, shutdown_timeout=finish_s)
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1024)
    guard = asyncio.create_task(_hang_up_on_the_silent(server, table.heard))
    try:
        await begin(site, host, port)
        yield int(runner.addresses[0][1])
    finally:
        await site.stop()  # before the streams end: they are to come back elsewhere
        closing()
        await runner.cleanup()
        await end(guard)


async def _hang_up_on_the_silent(server: web.Server, heard: set[web.RequestHandler]) -> None:
    """Close connections that keep their headers to themselves; aiohttp has no limit for that."""
    time = asyncio.get_running_loop().time
    since: dict[web.RequestHandler, float] = {}
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        now = time()
        open_now = set(server.connections)
        heard &= open_now
        since = {one: since.get(one, now) for one in open_now - heard}
        for connection, first_seen in since.items():
            if now - first_seen > FIRST_REQUEST_WITHIN_S - _LOOK_EVERY_S:
                connection.force_close()
