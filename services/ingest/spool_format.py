"""How the spool writes records to a file, and finds them again in a damaged one. Pure.

A record is a marker, the length and CRC-32 of the payload (little endian), and the payload: the
messages of one webhook in MessagePack. The marker lets a reader go on behind a damaged stretch,
so that a torn or rotten record costs only itself.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

import msgspec

from services.ingest.record import Record

MARK = b"\xffRDS"
_HEAD = struct.Struct("<4sII")
HEAD_BYTES = _HEAD.size

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Record])


class Found(msgspec.Struct, frozen=True):
    """A stretch of a file that ends at `end`: one record, or `records` None for damage."""

    records: list[Record] | None
    end: int


def encode(records: Sequence[Record]) -> bytes:
    """Return *records* as one spool record."""
    payload = _encoder.encode(records)
    return _HEAD.pack(MARK, len(payload), zlib.crc32(payload)) + payload


def scan(data: bytes) -> Iterator[Found]:
    """Yield what *data* holds, in order; every byte belongs to exactly one stretch."""
    at = 0
    while at < len(data):
        found = _record(data, at)
        if found is None:
            found = Found(None, _next_record(data, at + 1))
        yield found
        at = found.end


def _record(data: bytes, at: int) -> Found | None:
    if len(data) - at < HEAD_BYTES:
        return None
    mark, length, crc = _HEAD.unpack_from(data, at)
    start, end = at + HEAD_BYTES, at + HEAD_BYTES + length
    if mark != MARK or end > len(data):
        return None
    payload = memoryview(data)[start:end]
    if zlib.crc32(payload) != crc:
        return None
    try:
        return Found(_decoder.decode(payload), end)
    except ValueError:  # written by something else
        return None


def _next_record(data: bytes, at: int) -> int:
    """Return where the next whole record starts, or the end."""
    while (at := data.find(MARK, at)) >= 0:
        if _record(data, at) is not None:
            return at
        at += 1
    return len(data)
