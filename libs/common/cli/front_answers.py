"""What the front makes of an answer that did not come, or is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
from aiohttp import web

SAFE = frozenset({"GET", "HEAD"})
ANSWERS_WITHIN_S = 60.0
"""From a request's last byte to the head of its answer; the services' own limits are shorter. How
long the answer itself takes is not limited: an event stream has no end."""


class GoneError(Exception):
    """The client left before its request was whole."""


async def body(request: web.Request, limit: asyncio.Timeout) -> AsyncIterator[bytes]:
    """Yield the body as it comes; the time for the answer counts from its last piece."""
    loop = asyncio.get_running_loop()
    async for piece in request.content.iter_any():
        with suppress(RuntimeError):  # it is over: the answer came before the body was whole
            limit.reschedule(loop.time() + ANSWERS_WITHIN_S)
        yield piece


def has_left(request: web.Request) -> bool:
    """Tell whether the client went away before its request was whole."""
    return request.content.exception() is not None


def took_none(error: Exception) -> bool:
    """Tell whether no connection was taken, so that nothing was sent."""
    return isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def unusable(request: web.Request, error: Exception) -> web.Response | None:
    """Return what is said of an answer that is none, or did not come in time; None: no answer."""
    if isinstance(error, aiohttp.ClientConnectionError):
        return None
    if isinstance(error, TimeoutError) and not request.content.is_eof():
        return web.Response(status=408, text="the request did not come in time\n")
    if isinstance(error, TimeoutError):
        return web.Response(status=504, text="the service did not answer in time\n")
    return web.Response(status=502, text="the service's answer could not be read\n")


def changes_nothing(request: web.Request) -> bool:
    """Tell whether the request may be sent to another replica as well."""
    return request.method in SAFE and not request.body_exists
