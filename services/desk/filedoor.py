"""Files for whoever holds a link, and uploads of web visitors: the addresses below `/files/`.

Nobody logs in here. A link is signed and expires; a file is only ever offered for saving, never
run: as an attachment, of a known harmless type or of none, in a sandbox.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from libs.common.documents import Attachment
from libs.common.errors import GatewayError, NotFoundError
from libs.common.files.api import ALLOWED
from libs.common.files.check import UNKNOWN
from libs.common.files.preview import PREVIEW_PATH, preview
from libs.common.outflow import FullError, Room, cut_off, send
from services.desk.api.problem import RefusalError, unavailable
from services.desk.api.route import Desk
from services.desk.visitors import VisitorUploads

log = logging.getLogger(__name__)

INERT = frozenset({mime_type for _, mime_type in ALLOWED.values()} | {"image/webp"})
"""Types that are told as they are; whatever else is stored is bytes to a browser."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_PLAIN = re.compile(r"[^A-Za-z0-9 ._()-]+")

Work = Callable[[web.Request], Awaitable[web.StreamResponse]]
Guard = Callable[[str, Work], Any]
"""Turns work into a handler: counts it, and makes a problem of what it raises."""


class Span(msgspec.Struct, frozen=True):
    """Bytes of a file from `start` up to and without `end`."""

    start: int
    end: int


def add_file_routes(app: web.Application, desk: Desk, guard: Guard, expect: Any) -> None:
    """Serve `/files/` from *app*."""
    door = FileDoor(desk)
    uploads = VisitorUploads(desk)
    served = guard("files", door.serve)
    for method in ("GET", "HEAD"):
        app.router.add_route(
            method, "/files/{workspace}/{id}/{name}", served, expect_handler=expect
        )
    still = guard("preview", _preview)
    app.router.add_route("GET", PREVIEW_PATH, still, expect_handler=expect)
    app.router.add_route("HEAD", PREVIEW_PATH, still, expect_handler=expect)
    visitors = guard("visitor_upload", uploads.serve)
    for method in ("POST", "OPTIONS"):
        app.router.add_route(method, "/files/web/{account}", visitors, expect_handler=expect)


class FileDoor:
    """Serves stored files by their links."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._room = Room()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Send a file, or the part of it that is asked for.

        Raises:
            RefusalError: 404, whatever is wrong with the link; 416; 503, too many are being read.
            StoreUnavailableError: Store or file store is away.
        """
        now = self._desk.now()
        query = {name: request.query[name] for name in request.query}
        found = await self._desk.attachments.linked(request.path, query, now)
        if found is None:
            raise _nothing()
        link, file = found
        headers = headers_of(file, link.expires, now)
        etag = headers["ETag"]
        if etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        span = span_of(_range_of(request, etag), file.size_bytes)
        if span is None:
            size = {"Content-Range": f"bytes */{file.size_bytes}"}
            raise RefusalError(416, "range", "The file has no such part.", headers=size)
        if span.end - span.start < file.size_bytes:
            headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{file.size_bytes}"
        response = web.StreamResponse(
            status=206 if "Content-Range" in headers else 200, headers=headers
        )
        response.content_length = span.end - span.start
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        try:
            async with self._room.place(f"{file.workspace}/{file.id}"):
                return await self._stream(request, response, file, span)
        except FullError:
            raise unavailable("Too many files are being read.", retry_after_s=5) from None

    async def _stream(
        self, request: web.Request, response: web.StreamResponse, file: Attachment, span: Span
    ) -> web.StreamResponse:
        source = self._desk.attachments.files.read(file.workspace, file.id, start=span.start)
        async with aclosing(_upto(source, span.end - span.start)) as pieces:
            try:
                first = await anext(pieces, b"")
            except NotFoundError:
                raise _nothing() from None
            await response.prepare(request)
            try:
                await send(request, response, _behind(first, pieces))
            except (GatewayError, OSError) as error:  # the client sees a cut answer
                log.warning("desk.file_cut", extra={"reason": type(error).__name__})
                cut_off(request, response)
        return response


async def _preview(_request: web.Request) -> web.StreamResponse:
    """Send the still picture that stands for films; anybody may see and keep it."""
    headers = {
        "Cache-Control": "public, max-age=86400",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return web.Response(body=preview(), content_type="image/png", headers=headers)


def headers_of(file: Attachment, expires: datetime, now: datetime) -> dict[str, str]:
    """Return the headers of a file: nothing in it is ever run in our name."""
    left_s = max(0, int((expires - now).total_seconds()))
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": f"private, max-age={left_s}, immutable",
        "Content-Disposition": disposition(file.name),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Content-Type": file.mime_type if file.mime_type in INERT else UNKNOWN,
        "Cross-Origin-Resource-Policy": "cross-origin",  # a plugin's page shows pictures
        "ETag": f'"{file.id}"',
    }


def disposition(name: str) -> str:
    """Return `Content-Disposition` that saves as *name* (RFC 6266, RFC 8187)."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = _PLAIN.sub("_", ascii_only).strip(" .") or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name or 'file', safe='')}"


def span_of(header: str, size: int) -> Span | None:
    """Return the part of a file of *size* bytes that a `Range` header asks for (RFC 9110, 14).

    The whole of it where the header is empty, asks for several parts or for something else; None
    where no byte fits.
    """
    asked = _RANGE.fullmatch(header.replace(" ", ""))
    if asked is None or not (asked[1] or asked[2]):
        return Span(0, size)
    if not asked[1]:
        last = int(asked[2])
        return Span(max(0, size - last), size) if last and size else None
    start, end = int(asked[1]), int(asked[2]) + 1 if asked[2] else size
    if end <= start and asked[2]:  # backwards: not a range at all
        return Span(0, size)
    return Span(start, min(end, size)) if start < size else None


def _range_of(request: web.Request, etag: str) -> str:
    if request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return ""
    return request.headers.get("Range", "")


async def _upto(source: AsyncIterator[bytes], size: int) -> AsyncGenerator[bytes, None]:
    async for piece in source:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            break


async def _behind(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _nothing() -> RefusalError:
    return RefusalError(404, "not_found", "There is no such file, or the link has expired.")
