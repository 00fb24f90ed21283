"""Answers that are made while they go out: whole, or visibly cut, never quietly short."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
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
_AT_ONCE = 16
_AT_ONCE_EACH = 2
_AT_ONCE_WORKSPACE = 4
_PLAIN = re.compile(r"[^A-Za-z0-9 ._()-]+")
_agents = Room(total=10_000, each=_AT_ONCE_EACH)
_workspaces = Room(total=_AT_ONCE, each=_AT_ONCE_WORKSPACE)
"""Below the total, so that the slow readers of one workspace leave room for all others."""


def poured(call: Call, chunks: AsyncIterator[bytes], name: str) -> Reply:
    """Answer with a file to be saved, whose bytes come as they are read.

    What goes wrong before the first byte is a problem like any other; later, the connection is cut.
    """

    async def pour(request: web.Request) -> web.StreamResponse:
        who = call.who
        mine = f"{_AT_ONCE_EACH} files are on their way to you; wait until one has come."
        ours = "Many files are on their way to others; try again in a moment."
        async with (
            _place(_agents, f"{who.workspace}|{who.agent}", mine),
            _place(_workspaces, who.workspace, ours),
        ):
            return await _pour(request, chunks, name)

    return Reply(stream=pour)


@asynccontextmanager
async def _place(room: Room, key: str, refusal: str) -> AsyncIterator[None]:
    """Hold a place while the block runs.

    Raises:
        RefusalError: 429, none became free.
    """
    async with AsyncExitStack() as held:
        try:
            await held.enter_async_context(room.place(key))
        except FullError:
            wait = {"Retry-After": "5"}
            raise RefusalError(429, "too_many", refusal, headers=wait) from None
        yield


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
