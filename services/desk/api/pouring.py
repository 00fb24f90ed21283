"""Answers that are made while they go out: whole, or visibly cut, never quietly short."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

from aiohttp import web

from libs.common.outflow import FullError, Room, cut_off, send
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply

log = logging.getLogger(__name__)

CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TYPES = {"csv": CSV_TYPE, "xlsx": XLSX_TYPE}
CSV_MEDIA = CSV_TYPE.partition(";")[0]
_AT_ONCE = 8
_AT_ONCE_EACH = 2
_PLAIN = re.compile(r"[^A-Za-z0-9 ._()-]+")
_room = Room(total=_AT_ONCE, each=_AT_ONCE_EACH)


def poured(call: Call, chunks: AsyncIterator[bytes], name: str) -> Reply:
    """Answer with a file to be saved, whose bytes come as they are read.

    What goes wrong before the first byte is a problem like any other; later, the connection is cut.
    """

    async def pour(request: web.Request) -> web.StreamResponse:
        try:
            async with _room.place(f"{call.who.workspace}|{call.who.agent}"):
                return await _pour(request, chunks, name)
        except FullError:
            raise RefusalError(
                429,
                "too_many",
                f"{_AT_ONCE_EACH} files are on their way to you; wait until one has come.",
                headers={"Retry-After": "5"},
            ) from None

    return Reply(stream=pour)


async def _pour(
    request: web.Request, chunks: AsyncIterator[bytes], name: str
) -> web.StreamResponse:
    async with aclosing(_begun(chunks)) as begun:
        first = await anext(begun, b"")
        response = web.StreamResponse(headers=_headers(name))
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            await send(request, response, _with(first, begun))
        except (TimeoutError, ConnectionError):
            cut_off(request, response)
        except Exception as error:  # noqa: BLE001 the answer has begun: a problem cannot follow
            log.warning("desk.answer_cut", extra={"kind": type(error).__name__})
            cut_off(request, response)
    return response


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for chunk in chunks:
        if chunk:
            yield chunk


async def _with(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in others:
        yield chunk


def _headers(name: str) -> dict[str, str]:
    ending = name.rpartition(".")[2].lower()
    plain = _PLAIN.sub("_", name)
    return {
        "Content-Type": TYPES.get(ending, "application/octet-stream"),
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}",
    }
