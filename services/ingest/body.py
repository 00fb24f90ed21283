"""Reading a request's body under limits, and how much may be under way at once (I11)."""

from __future__ import annotations

import asyncio

from aiohttp import StreamReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from services.ingest.answers import Refused

MAX_BYTES = 24 * 1024 * 1024
"""Bytes of bodies in memory at once; each costs several times that while it is prepared."""
MAX_REQUESTS = 1024
"""Complete requests that wait to be stored at once."""


class Load:
    """What is under way in this process."""

    def __init__(self, *, max_bytes: int = MAX_BYTES, max_requests: int = MAX_REQUESTS) -> None:
        self.open = 0
        """Requests begun and not ended, complete or not."""
        self.requests = 0
        self.bytes = 0
        self._max_bytes = max_bytes
        self._max_requests = max_requests

    def begin(self) -> None:
        """Count a complete request.

        Raises:
            Refused: `busy`: as many as allowed are waiting.
        """
        if self.requests >= self._max_requests:
            raise Refused("busy")
        self.requests += 1

    def end(self) -> None:
        """Count it off."""
        self.requests -= 1

    def take(self, size: int) -> None:
        """Count *size* bytes.

        Raises:
            Refused: `busy`: too much is in memory; nothing was counted.
        """
        if self.bytes + size > self._max_bytes:
            raise Refused("busy")
        self.bytes += size

    def give_back(self, size: int) -> None:
        """Count *size* bytes off."""
        self.bytes -= size


async def read_body(
    request: web.BaseRequest, load: Load, *, max_bytes: int, deadline: float
) -> bytes:
    """Return the body as it was sent, counted in *load*; the caller gives that back.

    Args:
        request: Whose body is read.
        load: Where its bytes count.
        max_bytes: Larger bodies are refused, before they are read where the client says so.
        deadline: Loop time until which the client has to send it.

    Raises:
        Refused: `compressed` (signatures cover the raw bytes, and a bomb would freeze the loop),
            `too_large`, `timeout`, `busy`, `disconnected` or `bad_request`.
    """
    if hdrs.CONTENT_ENCODING in request.headers:
        raise Refused("compressed")
    content = request.content
    if content.is_eof():  # it came with the headers: nothing to wait for
        body = content.read_nowait()
        _check(len(body), max_bytes)
        load.take(len(body))
        return body
    _check(request.content_length or 0, max_bytes)
    return await _awaited(request, load, max_bytes, deadline)


async def _awaited(request: web.BaseRequest, load: Load, max_bytes: int, deadline: float) -> bytes:
    try:
        async with asyncio.timeout_at(deadline):
            if request.headers.get("Expect", "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0  # or aiohttp takes the answer for begun
            return await _collected(request.content, load, max_bytes)
    except TimeoutError:
        raise Refused("timeout") from None
    except ConnectionError:
        raise Refused("disconnected") from None
    except (HttpProcessingError, web.RequestPayloadError):
        raise Refused("bad_request") from None


async def _collected(content: StreamReader, load: Load, max_bytes: int) -> bytes:
    body = bytearray()
    try:
        while piece := await content.readany():
            _check(len(body) + len(piece), max_bytes)
            load.take(len(piece))
            body += piece
    except BaseException:
        load.give_back(len(body))
        raise
    return bytes(body)


def _check(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise Refused("too_large")
