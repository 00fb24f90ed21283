"""Deleting stored messages for good, wherever they lie in a stream."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import datetime

import msgspec

from libs.common.bus.ask import ApiError, Asker
from libs.common.bus.connection import Connection
from libs.common.bus.delivery import StoredMessage
from libs.common.bus.ordered import bounds, from_place, read
from libs.common.bus.wire import decode_headers
from libs.common.errors import BusUnavailableError

_PAGE = 500
_NOT_FOUND = 404
_BAD_REQUEST = 400


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


async def stored(asker: Asker, stream: str, sequence: int) -> StoredMessage | None:
    """See `Bus.stored`."""
    try:
        found = await asker.api(f"STREAM.MSG.GET.{stream}", {"seq": sequence})
    except ApiError as error:
        if error.status in {_NOT_FOUND, _BAD_REQUEST}:  # the latter: sequence 0
            return None
        raise BusUnavailableError(error.detail) from error
    told = msgspec.convert(found["message"], _Told)
    return StoredMessage(
        subject=told.subject,
        sequence=told.seq,
        data=told.data,
        headers=decode_headers(told.hdrs) if told.hdrs else {},
        stored_at_ns=_nanoseconds(told.time),
    )


class _Told(msgspec.Struct):
    """A message as the management API tells it; the bytes are base64, the time RFC 3339."""

    subject: str
    seq: int
    time: str
    data: bytes = b""
    hdrs: bytes = b""


def _nanoseconds(text: str) -> int:
    """Return UTC nanoseconds; `datetime` keeps six digits of the fraction only."""
    whole = int(datetime.fromisoformat(f"{text[:19]}+00:00").timestamp())
    fraction = re.match(r"\.(\d{1,9})", text[19:])
    return whole * 1_000_000_000 + (int(fraction[1].ljust(9, "0")) if fraction else 0)


async def remove(asker: Asker, stream: str, sequence: int) -> None:
    """See `Bus.remove`."""
    await _delete(asker, stream, sequence)


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
