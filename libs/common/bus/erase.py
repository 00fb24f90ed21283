"""Deleting stored messages for good, wherever they lie in a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from libs.common.bus.ask import ApiError, Asker
from libs.common.bus.connection import Connection
from libs.common.bus.delivery import StoredMessage
from libs.common.bus.ordered import bounds, from_place, read
from libs.common.errors import BusUnavailableError

_PAGE = 500
_NOT_FOUND = 404


async def erase(
    connection: Connection, asker: Asker, stream: str, wanted: Callable[[StoredMessage], bool]
) -> int:
    """See `Bus.erase`."""
    place, last = await bounds(asker, stream)
    count = 0
    while place <= last:
        page = await read(connection, asker, stream, ">", start=from_place(place), limit=_PAGE)
        for message in page:
            if message.sequence <= last and wanted(message):
                await _delete(asker, stream, message.sequence)
                count += 1
        if not page:
            break
        place = page[-1].sequence + 1
        await asyncio.sleep(0)
    return count


async def _delete(asker: Asker, stream: str, sequence: int) -> None:
    """Delete one message; its bytes are overwritten (`no_erase` is off)."""
    try:
        await asker.api(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": False})
    except ApiError as error:
        if await _is_there(asker, stream, sequence):
            raise BusUnavailableError(error.detail) from error


async def _is_there(asker: Asker, stream: str, sequence: int) -> bool:
    try:
        await asker.api(f"STREAM.MSG.GET.{stream}", {"seq": sequence})
    except ApiError as error:
        return error.status != _NOT_FOUND
    return True
