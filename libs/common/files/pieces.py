"""Chunks of any size, made into pieces of one size."""

from __future__ import annotations

from collections.abc import AsyncIterator

PIECE_BYTES = 256 * 1024


async def pieces(chunks: AsyncIterator[bytes], size: int = PIECE_BYTES) -> AsyncIterator[bytes]:
    """Yield what *chunks* yield in pieces of exactly *size* bytes, the last one shorter."""
    gathered = bytearray()
    async for chunk in chunks:
        gathered += chunk
        while len(gathered) >= size:
            yield bytes(gathered[:size])
            del gathered[:size]
    if gathered:
        yield bytes(gathered)
